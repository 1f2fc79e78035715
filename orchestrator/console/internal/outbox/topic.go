package outbox

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/console/internal/page"
)

// unknownTopic is the error code of rows whose topic does not exist.
const unknownTopic = "UNKNOWN_TOPIC"

// MissingTopic reports whether the rows are stuck because their topic does not exist.
func (g stuckGroup) MissingTopic() bool { return g.ErrorCode == unknownTopic }

// MissingTopic reports whether the row is stuck because its topic does not exist.
func (p rowPage) MissingTopic() bool { return p.Status == "stuck" && p.ErrorCode == unknownTopic }

// newTopic is a topic that would be created, or was.
type newTopic struct {
	Topic      string            `json:"topic"`
	Like       string            `json:"like,omitempty"`
	Partitions int               `json:"partitions"`
	Replicas   int               `json:"replicas"`
	Config     map[string]string `json:"config"`
	Rows       int64             `json:"rows"`
	Behind     int64             `json:"parkedBehind"`
	Published  int64             `json:"published"`
	Waiting    int64             `json:"waiting"`
	// Problem is why it cannot be created.
	Problem string `json:"problem,omitempty"`
}

// Settings are the topic's own, in an order.
func (t newTopic) Settings() []string {
	all := make([]string, 0, len(t.Config))
	for _, key := range slices.Sorted(maps.Keys(t.Config)) {
		all = append(all, key+"="+t.Config[key])
	}
	return all
}

// planTopic says what a missing topic would be created like, in the form that would create it.
func (s screen) planTopic(ctx context.Context, r *page.Request) (any, error) {
	t, err := s.askTopic(ctx, r, map[string]any{"dryRun": true})
	if refusal := refused(err); refusal != nil {
		return newTopic{Problem: refusal.Error()}, nil //nolint:nilerr // it is shown in the form
	}
	return t, err
}

// createTopic creates a topic as the form shows it.
func (s screen) createTopic(ctx context.Context, r *page.Request) (any, error) {
	body := map[string]any{"reason": r.PostFormValue("reason"), "like": r.PostFormValue("like")}
	if text := r.PostFormValue("partitions"); text != "" {
		partitions, err := strconv.Atoi(text)
		if err != nil || partitions < 1 {
			return nil, page.Invalid("how many partitions is a number from 1 on")
		}
		body["partitions"] = partitions
	}
	t, err := s.askTopic(ctx, r, body)
	if err != nil {
		return nil, err
	}
	result := page.Result{Text: fmt.Sprintf("Topic %s was created; of %s %d published", t.Topic, rows(t.Rows), t.Published)}
	if t.Waiting > 0 {
		result.Detail = "The others are tried by themselves."
	}
	return result, nil
}

func (s screen) askTopic(ctx context.Context, r *page.Request, body any) (t newTopic, err error) {
	path := of(r.PathValue("database"), "/topics/%s/create", r.PathValue("topic"))
	return t, s.post(ctx, apiclient.Request{Method: http.MethodPost, Path: path, Body: body}, &t)
}
