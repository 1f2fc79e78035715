package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/console/internal/page"
)

// reason is the body of a change.
func reason(r *page.Request) map[string]string {
	if why := r.PostFormValue("reason"); why != "" {
		return map[string]string{"reason": why}
	}
	return map[string]string{}
}

// outcome is what was seen to become of a row.
type outcome struct {
	ID            int64
	Result, Error string
}

func (s screen) retry(ctx context.Context, r *page.Request) (any, error) {
	began := time.Now()
	o, err := s.change(ctx, r, "retry")
	if err != nil {
		return nil, err
	}
	return retried(o, time.Since(began)), nil
}

// retried says what came of a retry.
func retried(o outcome, took time.Duration) page.Result {
	switch o.Result {
	case "published":
		return page.Result{Text: fmt.Sprintf("Published, %d ms after you asked", took.Milliseconds())}
	case "refused again":
		return page.Result{Problem: true, Text: "Kafka refused it again", Detail: o.Error}
	case "waiting":
		return page.Result{Problem: true, Text: "It was not tried within 3 s: perhaps no relay leads, the database is paused, or the broker is unavailable", Detail: o.Error}
	}
	return page.Result{Text: "It is " + o.Result + " now"}
}

func (s screen) discard(ctx context.Context, r *page.Request) (any, error) {
	if r.PostFormValue("reason") == "" {
		return nil, page.Invalid("say why: a discarded row is never sent, and the audit log keeps the reason")
	}
	o, err := s.change(ctx, r, "discard")
	if err != nil {
		return nil, err
	}
	return page.Result{Text: fmt.Sprintf("Row %d is %s: it is never sent, and what waited behind it goes on", o.ID, o.Result)}, nil
}

// change changes one row, as it was looked at.
func (s screen) change(ctx context.Context, r *page.Request, verb string) (o outcome, err error) {
	path := of(r.PathValue("database"), "/rows/%s/%s", r.PathValue("id"), verb)
	return o, s.post(ctx, apiclient.Request{Path: path, Body: reason(r), IfMatch: r.PostFormValue("version")}, &o)
}

// post asks for a change and decodes what came of it.
func (s screen) post(ctx context.Context, request apiclient.Request, into any) error {
	request.Method = http.MethodPost
	answer, err := s.relay.Do(ctx, request)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("read what came of %s: %w", request.Path, err)
	}
	return nil
}

func (s screen) retryGroup(ctx context.Context, r *page.Request) (any, error) {
	var done struct{ Rows, Published, Refused, Waiting int64 }
	path := of(r.PathValue("database"), "/stuck/retry") + query("topic", r.PostFormValue("topic"), "errorCode", r.PostFormValue("errorCode"))
	if err := s.post(ctx, apiclient.Request{Path: path, Body: reason(r)}, &done); err != nil {
		return nil, err
	}
	if done.Rows == 0 {
		return page.Result{Text: "Nothing of it is stuck any more"}, nil
	}
	return page.Result{
		Text:    fmt.Sprintf("Of %s, %d published, %d refused again, %d not tried yet", rows(done.Rows), done.Published, done.Refused, done.Waiting),
		Problem: done.Published == 0,
	}, nil
}

func (s screen) pause(ctx context.Context, r *page.Request) (any, error) {
	return s.setPaused(ctx, r, "pause", `"running"`, "Paused: rows that are written from now on wait; nothing is lost")
}

func (s screen) resume(ctx context.Context, r *page.Request) (any, error) {
	return s.setPaused(ctx, r, "resume", `"paused"`, "Resumed: what waited is being published")
}

func (s screen) setPaused(ctx context.Context, r *page.Request, verb, seen, text string) (any, error) {
	var done struct{ Changed bool }
	err := s.post(ctx, apiclient.Request{Path: of(r.PathValue("database"), "/%s", verb), Body: reason(r), IfMatch: seen}, &done)
	return page.Result{Text: text}, err
}
