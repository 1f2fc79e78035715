package sagas

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/masking"
	"waybill.example/orchestrator/console/internal/diagram"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
	"waybill.example/orchestrator/httpapi"
	"waybill.example/sdk/saga"
)

// oneEvery is how often the page of one saga looks: one read by the primary key.
const oneEvery = time.Second

// one is the page of a saga.
type one struct {
	Saga httpapi.Detail `json:"saga"`
	// Carries is the saga's data, which not everybody may see; Saga has none.
	Carries page.Payload `json:"data"`
	// Absent is why there is no such saga: it has not begun, or is not kept any more. Saga has its
	// name alone.
	Absent  error         `json:"-"`
	Known   bool          `json:"-"` // its definition is known here
	Diagram template.HTML `json:"-"`
	Buttons []button      `json:"-"`
	// Deadlines are those of each wait: to move its deadline, and to revoke it.
	Deadlines []button `json:"-"`
}

// Title implements the title of a page.
func (o one) Title() string { return o.Saga.Definition + "/" + o.Saga.ID }

// Missing is why there is no such saga.
func (o one) Missing() error { return o.Absent }

// Ended reports whether nothing more is expected to happen.
func (o one) Ended() bool { return o.Saga.EndedAt != nil }

// withoutReason is a sentence about a saga as the reader may see it: its reason is what a message
// said, or an operator.
func withoutReason(r *page.Request, sentence, reason string) string {
	if reason == "" {
		return sentence
	}
	return strings.ReplaceAll(sentence, reason, r.Text(reason))
}

// target is the saga of a request.
func target(r *page.Request) saga.Ref {
	return saga.Ref{Definition: r.PathValue("definition"), ID: r.PathValue("id")}
}

// api is a path of the API below a saga.
func api(ref saga.Ref, rest string, query url.Values) string {
	if query == nil {
		query = url.Values{}
	}
	query.Set("definition", ref.Definition)
	return page.Path("/v1/sagas/%s", ref.ID) + rest + "?" + query.Encode()
}

func (x *screen) one(ctx context.Context, r *page.Request) (any, error) {
	ref := target(r)
	detail, err := source.Get[httpapi.Detail](ctx, x.sources.Orchestrator, api(ref, "", nil))
	if apiclient.NotFound(err) {
		return one{Saga: httpapi.Detail{Definition: ref.Definition, ID: ref.ID}, Absent: err}, nil
	}
	if err != nil {
		return nil, err
	}
	o := one{Saga: detail, Carries: r.Payload(detail.Data.Bytes())}
	o.Saga.Data = masking.View{}
	o.Saga.Says, o.Saga.Reason = withoutReason(r, o.Saga.Says, o.Saga.Reason), r.Text(o.Saga.Reason)
	for i, l := range o.Saga.Timeline {
		o.Saga.Timeline[i].Note = r.Text(l.Note) // it quotes what messages say, and what operators wrote
	}
	description, err := source.Get[saga.Description](ctx, x.sources.Orchestrator, page.Path("/v1/definitions/%s", ref.Definition)+"?version="+strconv.Itoa(detail.Version))
	if o.Known = err == nil; o.Known {
		o.Diagram = diagram.Draw(description, diagram.Of(description, detail, page.Duration, anchor))
	}
	o.Buttons, o.Deadlines = buttons(o, description), deadlineButtons(o)
	return o, nil
}

// anchor is the place of a transition on the page.
func anchor(seq int) string { return "#transition-" + strconv.Itoa(seq) }

// refusal is what a service said that refused a request; false: it is another error, or none.
func refusal(err error) (string, bool) {
	var refused *apiclient.Refusal
	if errors.As(err, &refused) && refused.Status < http.StatusInternalServerError && refused.Status != http.StatusUnauthorized {
		return refused.Detail, true
	}
	return "", false
}
