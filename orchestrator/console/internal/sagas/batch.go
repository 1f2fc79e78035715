package sagas

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/httpapi"
	"waybill.example/sdk/saga"
)

// batchQuery is the filter as the query of the page that intervenes in all that it chooses.
func (f filter) batchQuery() string {
	q := f.query()
	for _, name := range []string{"definition", "version"} {
		q.Del(name)
	}
	if f.Definition != "" {
		q.Set("definition", f.Definition)
	}
	if len(f.Sagas) > 0 {
		q["saga"] = f.Sagas
	}
	return q.Encode()
}

// Hidden are the conditions by name, for a form that carries them along.
func (f filter) Hidden() []pair {
	q, _ := url.ParseQuery(f.batchQuery()) // our own
	var all []pair
	for _, name := range slices.Sorted(maps.Keys(q)) {
		for _, value := range q[name] {
			all = append(all, pair{name, value})
		}
	}
	return all
}

type pair struct{ Name, Value string }

// batch is the page that intervenes in many sagas.
type batch struct {
	Filter  filter            `json:"-"`
	Request saga.Request      `json:"request"`
	In      string            `json:"-"`
	Count   int               `json:"count"`
	Sample  []sampled         `json:"sample"`
	Problem string            `json:"problem,omitempty"`
	Steps   []string          `json:"-"`
	Ends    []string          `json:"-"`
	Actions []saga.Action     `json:"-"`
	Fields  map[string]string `json:"-"` // those of the action, and what was typed
}

// sampled is one of the sagas, and what would become of it.
type sampled struct {
	httpapi.SagaLine

	Would string `json:"would"`
}

// batchFields are the fields of each action that can be done to many.
var batchFields = map[saga.Action][]string{
	saga.ActRetry: {"step"}, saga.ActSkipWait: {"step"}, saga.ActResolve: {"step", "as", "data"}, saga.ActEditData: {"patch"}, saga.ActSuspend: nil,
	saga.ActResume: nil, saga.ActRestartFrom: {"step"}, saga.ActCancel: nil, saga.ActForce: {"end"}, saga.ActMoveDeadline: {"step", "in"}, saga.ActRevokeDeadline: {"step"},
}

// batchRequest is the intervention of a form. The step that it is about is called onstep there,
// since step is what the sagas wait for.
func batchRequest(form url.Values) (saga.Request, error) {
	form = maps.Clone(form)
	form["step"] = form["onstep"]
	return request(form, time.Now())
}

func (x *screen) batch(ctx context.Context, r *page.Request) (any, error) {
	q := r.URL.Query()
	b := batch{Filter: filterOf(q), In: q.Get("in"), Actions: slices.Sorted(maps.Keys(batchFields)), Fields: map[string]string{}}
	if q.Get("action") == "" {
		q.Set("action", string(saga.ActRetry))
	}
	definitions, _ := x.definitions(ctx)
	choices := choicesOf(definitions, filter{})
	b.Steps = choices.Steps
	for _, d := range definitions {
		b.Ends = append(b.Ends, d.Completed, d.Cancelled)
	}
	var err error
	if b.Request, err = batchRequest(q); err != nil {
		b.Problem = err.Error()
	}
	for _, name := range batchFields[b.Request.Action] {
		b.Fields[name] = q.Get(name)
	}
	if _, ok := b.Fields["step"]; ok {
		b.Fields["step"] = q.Get("onstep")
	}
	switch {
	case !b.Filter.Any():
		b.Problem = "Choose sagas in the list, or filter it, and come back: no batch is made of all sagas there are."
	case !r.Can(admin.Admin):
		b.Problem = "A batch needs the role admin, and so does counting what it would be about."
	case b.Problem == "":
		return x.counted(ctx, r, b)
	}
	return b, nil
}

// counted adds how many sagas it would be, and what would become of some.
func (x *screen) counted(ctx context.Context, r *page.Request, b batch) (batch, error) {
	answer, err := x.sources.Orchestrator.Do(ctx, apiclient.Request{Method: http.MethodPost, Path: "/v1/saga-batches?dryRun=true", Body: b.body("previewed")})
	if reason, refused := refusal(err); refused {
		b.Problem = reason
		return b, nil
	}
	var found httpapi.Batch
	if err == nil {
		err = json.Unmarshal(answer, &found)
	}
	if err != nil {
		return b, err
	}
	b.Count, b.Sample = found.Count, make([]sampled, len(found.Sample))
	var asking sync.WaitGroup
	for i, line := range found.Sample {
		b.Sample[i].SagaLine = seen(r, line)
		asking.Go(func() {
			b.Sample[i].Would = x.would(ctx, saga.Ref{Definition: line.Definition, ID: line.ID}, b.Request)
		})
	}
	asking.Wait()
	return b, nil
}

// would says in a few words what an intervention would do to a saga.
func (x *screen) would(ctx context.Context, ref saga.Ref, q saga.Request) string {
	p, err := x.ask(ctx, ref, q)
	switch {
	case err != nil:
		return err.Error()
	case p.Because != "":
		return strings.ReplaceAll(string(p.Result), "_", " ") + ": " + p.Because
	}
	var types []string
	for _, s := range p.Sends {
		types = append(types, s.Type)
	}
	what := "sends nothing"
	if len(types) > 0 {
		what = "sends " + strings.Join(types, ", ")
	}
	if p.From != p.To {
		what += "; " + p.From + " → " + p.To
	}
	return what
}

// body is the batch as the API takes it.
func (b batch) body(reason string) map[string]any {
	f := map[string]any{}
	set := func(name string, value any, given bool) {
		if given {
			f[name] = value
		}
	}
	name, version := b.Filter.name()
	number, _ := strconv.Atoi(version)
	attempt, _ := strconv.Atoi(b.Filter.Attempt)
	set("state", b.Filter.State, b.Filter.State != "")
	set("definition", name, name != "")
	set("version", number, number > 0)
	set("step", b.Filter.Step, b.Filter.Step != "")
	set("attempt", attempt, attempt > 0)
	set("olderThan", b.Filter.OlderThan, b.Filter.OlderThan != "")
	set("overdue", true, b.Filter.Overdue)
	set("stuck", true, b.Filter.Stuck)
	set("sagas", b.Filter.Sagas, len(b.Filter.Sagas) > 0)
	if attribute, value, ok := strings.Cut(b.Filter.Attr, "="); ok {
		f["attributes"] = map[string]string{attribute: value}
	}
	return map[string]any{"filter": f, "intervention": b.Request, "reason": reason}
}

// start makes the job.
func (x *screen) start(ctx context.Context, r *page.Request) (any, error) {
	b := batch{Filter: filterOf(r.PostForm)}
	var err error
	if b.Request, err = batchRequest(r.PostForm); err != nil {
		return nil, err
	}
	counted, err := x.counted(ctx, r, b)
	switch {
	case err != nil:
		return nil, err
	case counted.Problem != "":
		return nil, page.Invalid(counted.Problem)
	case counted.Count == 0:
		return nil, page.Invalid("No saga matches any more.")
	case r.PostForm.Get("count") != strconv.Itoa(counted.Count):
		return nil, page.Invalid(fmt.Sprintf("It is %d sagas now. Look at the page again, and type that number.", counted.Count))
	}
	answer, err := x.sources.Orchestrator.Do(ctx, apiclient.Request{Method: http.MethodPost, Path: "/v1/saga-batches", Body: b.body(r.PostForm.Get("reason"))})
	if err != nil {
		return nil, err
	}
	var made httpapi.Batch
	if err := json.Unmarshal(answer, &made); err != nil {
		return nil, err
	}
	if made.Job == nil { // they have moved on since they were counted
		return nil, page.Invalid("No saga matches any more.")
	}
	return page.Result{
		Text: fmt.Sprintf("Job %d was made of %d sagas.", made.Job.ID, made.Job.Total),
		Link: page.Path("/batches/orchestrator/%d", made.Job.ID), Label: "Follow it",
	}, nil
}
