package sagas

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
	"waybill.example/orchestrator/httpapi"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
)

// button is an intervention that can be made here.
type button struct {
	Action saga.Action
	Label  string
	Title  string // above its form
	Why    string // why not now; empty: it can be tried
	Danger bool
	// Fields are those of its form, besides the reason.
	Fields []string
	Steps  []string // that can be chosen
	AnyAll bool     // a step need not be chosen
	Ends   []string
	Data   page.Payload
}

// Do is what the button says that does it.
func (b button) Do() string { return strings.TrimSuffix(b.Label, "…") }

// Role is the role that it needs, as the API has it.
func (b button) Role() string {
	if b.Action == saga.ActForce {
		return admin.Admin.String()
	}
	return admin.Operator.String()
}

// buttons are all interventions, those that make no sense now with the reason.
func buttons(o one, d saga.Description) []button {
	s := o.Saga
	var steps, waiting []string
	for _, step := range s.Steps {
		steps = append(steps, step.Name)
	}
	for _, w := range s.Waits {
		if w.For != saga.ForStart {
			waiting = append(waiting, w.Step)
		}
	}
	suspended := s.State == string(saga.Suspended)
	if !o.Known {
		return nil
	}
	when := func(problem string, unless ...bool) string {
		for _, yes := range unless {
			if yes {
				return problem
			}
		}
		return ""
	}
	ended, still := "It has ended", "It is suspended: resume it first"
	notNow := func(more string) string {
		switch {
		case o.Ended():
			return ended
		case suspended:
			return still
		}
		return more
	}
	all := []button{
		{Action: saga.ActRetry, Label: "Retry…", Title: "Send what it waits for again, now", Fields: []string{"step"}, Steps: waiting, AnyAll: true, Why: notNow(when("It waits for nothing", len(waiting) == 0))},
		{Action: saga.ActSkipWait, Label: "Skip wait…", Title: "End what it waits for now", Fields: []string{"step"}, Steps: waiting, AnyAll: true, Why: notNow(when("It waits for nothing", len(waiting) == 0))},
		{Action: saga.ActResolve, Label: "Resolve…", Title: "Settle a step by your word", Fields: []string{"step", "as", "data"}, Steps: steps, Why: notNow("")},
		{Action: saga.ActEditData, Label: "Edit data…", Title: "Change its data by a JSON merge patch", Fields: []string{"patch"}, Data: o.Carries, Why: when(ended, o.Ended())},
		{Action: saga.ActRestartFrom, Label: "Restart from…", Title: "Go forward again from a step", Fields: []string{"step"}, Steps: steps, Why: notNow("")},
		{Action: saga.ActSuspend, Label: "Suspend…", Title: "Have it do nothing until it is resumed", Why: notNow("")},
		{Action: saga.ActResume, Label: "Resume…", Title: "Let it go on", Why: when("It is not suspended", !suspended)},
		{Action: saga.ActCancel, Label: "Cancel…", Title: "Undo it", Danger: true, Why: when("It has been undone already", s.State == d.Cancelled)},
		{Action: saga.ActForce, Label: "Force…", Title: "End it at once, and wait for nothing", Danger: true, Fields: []string{"end"}, Ends: []string{d.Cancelled, d.Completed}, Why: notNow("")},
	}
	shown := all[:0]
	for _, b := range all {
		if b.Action == saga.ActSuspend && suspended || b.Action == saga.ActResume && !suspended {
			continue
		}
		shown = append(shown, b)
	}
	return shown
}

// deadlineButtons are those in the line of a wait.
func deadlineButtons(o one) []button {
	why := ""
	if o.Saga.State == string(saga.Suspended) {
		why = "It is suspended: its clock stands still"
	}
	return []button{
		{Action: saga.ActMoveDeadline, Label: "Move…", Title: "Let this wait end at another time", Fields: []string{"in"}, Why: why},
		{Action: saga.ActRevokeDeadline, Label: "Revoke…", Title: "Let it wait for its answer alone", Why: why},
	}
}

// request is an intervention as a form asks for it. The error is one to show.
func request(form url.Values, now time.Time) (saga.Request, error) {
	q := saga.Request{
		Action: saga.Action(form.Get("action")), Step: form.Get("step"), As: saga.StepStatus(form.Get("as")),
		Reply: form.Get("reply"), End: form.Get("end"),
	}
	for name, to := range map[string]*json.RawMessage{"data": &q.Data, "patch": &q.Patch} {
		text := strings.TrimSpace(form.Get(name))
		if text != "" && !json.Valid([]byte(text)) {
			return q, page.Invalid("The " + name + " is not JSON.")
		}
		if text != "" {
			*to = json.RawMessage(text)
		}
	}
	if in := strings.TrimSpace(form.Get("in")); in != "" {
		d, err := time.ParseDuration(in)
		if q.To = now.Add(d).UTC(); err != nil {
			if q.To, err = time.Parse(time.RFC3339, in); err != nil {
				return q, page.Invalid("When is a duration from now, such as 10m, or a time such as 2026-11-26T15:04:05Z.")
			}
		}
	}
	return q, nil
}

// previewed is what an intervention would lead to.
type previewed struct {
	// Problem is what is missing or wrong with the form.
	Problem string          `json:"problem,omitempty"`
	Preview httpapi.Preview `json:"preview"`
	Sends   []sends         `json:"sends"`
}

// sends is a command that would be sent.
type sends struct {
	Type, Topic, Key string
	Payload          page.Payload
}

func (p previewed) Refused() bool { return p.Preview.Result == runner.Refused }

func (p previewed) NoEffect() bool { return p.Preview.Result == runner.NoEffect }

func (x *screen) preview(ctx context.Context, r *page.Request) (any, error) {
	q, err := request(r.URL.Query(), time.Now())
	if err != nil {
		return previewed{Problem: err.Error()}, nil //nolint:nilerr // it is shown in the form
	}
	p, err := x.ask(ctx, target(r), q)
	if reason, refused := refusal(err); refused {
		return previewed{Problem: reason}, nil
	}
	out := previewed{Preview: p}
	for _, s := range p.Sends {
		out.Sends = append(out.Sends, sends{s.Type, s.Topic, s.Key, r.Payload(s.Payload.Bytes())})
	}
	out.Preview.Sends, out.Preview.Note = nil, r.Text(p.Note)
	return out, err
}

// ask has the engine say what an intervention would lead to.
func (x *screen) ask(ctx context.Context, ref saga.Ref, request saga.Request) (p httpapi.Preview, err error) {
	q := url.Values{"action": {string(request.Action)}, "depth": {"2"}}
	for name, value := range map[string]string{
		"step": request.Step, "as": string(request.As), "reply": request.Reply, "data": string(request.Data), "patch": string(request.Patch), "end": request.End,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if !request.To.IsZero() {
		q.Set("to", request.To.Format(time.RFC3339))
	}
	return source.Now[httpapi.Preview](ctx, x.sources.Orchestrator, page.Path("/v1/sagas/%s/%s/preview?", ref.Definition, ref.ID)+q.Encode())
}

// act does what the form asks for, to the saga as it was previewed.
func (x *screen) act(ctx context.Context, r *page.Request) (any, error) {
	q, err := request(r.PostForm, time.Now())
	if err != nil {
		return nil, err
	}
	seen := r.PostForm.Get("seen")
	if seen == "" {
		return nil, page.Invalid("Look at the preview first: what it shows is what is acted on.")
	}
	answer, err := x.sources.Orchestrator.Do(ctx, intervention(target(r), q, r.PostForm.Get("reason"), `"`+seen+`"`))
	if err != nil {
		return nil, err
	}
	var o httpapi.Outcome
	if err := json.Unmarshal(answer, &o); err != nil {
		return nil, err
	}
	result := page.Result{Text: sentence(o), Problem: o.Result == runner.NoEffect}
	if !strings.Contains(o.Observed, o.State) {
		result.Detail = "The saga is " + o.State + "."
	}
	return result, nil
}

func sentence(o httpapi.Outcome) string {
	if o.Result == runner.NoEffect {
		return "Nothing was done: " + o.Observed
	}
	if o.Observed == "" {
		return "Done."
	}
	return strings.ToUpper(o.Observed[:1]) + o.Observed[1:] + "."
}

// watchFor is how many seconds it is watched what comes of an intervention.
const watchFor = "3"

// intervention is the request to the API that does it.
func intervention(ref saga.Ref, q saga.Request, reason, ifMatch string) apiclient.Request {
	body := map[string]any{"reason": reason}
	for name, value := range map[string]string{"step": q.Step, "as": string(q.As), "reply": q.Reply, "end": q.End} {
		if value != "" {
			body[name] = value
		}
	}
	for name, value := range map[string]json.RawMessage{"data": q.Data, "patch": q.Patch} {
		if value != nil {
			body[name] = value
		}
	}
	query := url.Values{"wait": {watchFor}}
	out := apiclient.Request{Method: http.MethodPost, IfMatch: ifMatch, Body: body}
	switch q.Action {
	case saga.ActMoveDeadline:
		out.Method, out.Path = http.MethodPut, api(ref, page.Path("/deadlines/%s", q.Step), query)
		out.Body = map[string]any{"reason": reason, "to": q.To}
	case saga.ActRevokeDeadline:
		query.Set("reason", reason)
		out.Method, out.Body, out.Path = http.MethodDelete, nil, api(ref, page.Path("/deadlines/%s", q.Step), query)
	default:
		out.Path = api(ref, "/"+url.PathEscape(string(q.Action)), query)
	}
	return out
}
