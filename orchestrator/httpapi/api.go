// Package httpapi is the orchestrator's HTTP side: looking at sagas and, with a
// token, intervening.
package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/terminal"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

// API serves what the store holds.
type API struct {
	Sagas  *inspect.Inspector
	Runner *runner.Runner
	Log    *slog.Logger
	// Explainer answers why a saga is where it is; an [explain.UnknownError] is a 404.
	Explainer interface {
		Explain(ctx context.Context, id string, now time.Time) (explain.Report, error)
	}
	// Tokens are who may intervene.
	Tokens admin.Tokens
	// Readers may read what a saga carries, which is other people's data; nil: everybody who reaches the API.
	Readers *admin.Tokens
	// Closing ends streams when it is closed, so that the server can stop.
	Closing <-chan struct{}
	// AliveEvery is how often a stream without news says so; 15 seconds if it is 0.
	AliveEvery time.Duration
	streams    atomic.Int64 // that are open

	operations httpserver.Operations
	slow       httpserver.Operations // those that ask others, read all sagas, or watch what comes of them
}

// slowTimeout is what a slow operation has to answer: more than [answerTimeout], by a request or two.
const slowTimeout = 15 * time.Second

// Register adds the operations to an API.
func (a *API) Register(api huma.API) {
	a.operations = httpserver.Operations{API: api, Log: a.Log, Answers: answers}
	a.slow = a.operations
	a.slow.Timeout = slowTimeout
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-sagas", Method: http.MethodGet, Path: "/v1/sagas",
		Summary: "List sagas, newest first", Tags: []string{"Sagas"},
	}, a.list)
	httpserver.Handle(a.operations, a.revealing(api, huma.Operation{
		OperationID: "get-saga", Method: http.MethodGet, Path: "/v1/sagas/{orderId}",
		Summary: "One saga: where it stands, what it waits for, and its timeline", Tags: []string{"Sagas"},
		Errors: []int{http.StatusNotFound, http.StatusConflict},
	}), a.get)
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "saga-stats", Method: http.MethodGet, Path: "/v1/sagas/stats",
		Summary: "How the sagas are doing: by state, rates, and the time they take", Tags: []string{"Sagas"},
	}, a.stats)
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-deadlines", Method: http.MethodGet, Path: "/v1/deadlines",
		Summary: "What is being waited for, the earliest deadline first", Tags: []string{"Sagas"},
	}, a.deadlines)
	httpserver.Handle(a.slow, a.revealing(api, huma.Operation{
		OperationID: "explain-saga", Method: http.MethodGet, Path: "/v1/sagas/{orderId}/explain",
		Summary:     "Why it is where it is",
		Description: "What the saga waits for, what stands in the way, what will happen next and when, and one timeline over all databases. Sources that cannot be asked are named.",
		Tags:        []string{"Sagas"}, Errors: []int{http.StatusNotFound, http.StatusConflict},
	}), a.explain)
	a.registerStream(api)
	a.registerDefinitions(api)
	a.registerInterventions(api)
	a.registerEvents(api)
}

// revealing is an operation that shows what a saga carries.
func (a *API) revealing(api huma.API, op huma.Operation) huma.Operation {
	if a.Readers == nil {
		return op
	}
	return admin.Secure(api, *a.Readers, op)
}

type explainOutput struct {
	Body explain.Report
}

func (a *API) explain(ctx context.Context, in *SagaID) (*explainOutput, error) {
	e, err := a.Explainer.Explain(ctx, string(in.ID), time.Now())
	if unknown, ok := errors.AsType[*explain.UnknownError](err); ok {
		return nil, huma.Error404NotFound(unknown.Error())
	}
	if err != nil {
		return nil, err
	}
	return &explainOutput{Body: e}, nil
}

type statsInput struct {
	Window httpserver.Text `query:"window" maxLength:"32" default:"1m" doc:"How far to look back for rates and times, such as 30s or 1h at most"`
}

type statsOutput struct {
	Body inspect.Stats
}

func (a *API) stats(ctx context.Context, in *statsInput) (*statsOutput, error) {
	window, err := time.ParseDuration(string(in.Window))
	if err != nil || window < time.Second || window > time.Hour {
		return nil, invalid("query.window", "must be a duration from 1s to 1h", in.Window)
	}
	stats, err := a.Sagas.Stats(ctx, time.Now(), window)
	if err != nil {
		return nil, err
	}
	return &statsOutput{Body: stats}, nil
}

type deadlinesInput struct {
	Before time.Time `query:"before" doc:"Only those due before; an hour from now if left out"`
	Limit  int       `query:"limit" minimum:"1" maximum:"500" default:"50"`
}

type deadlinesOutput struct {
	Body struct {
		Deadlines []inspect.Deadline `json:"deadlines" nullable:"false"`
	}
}

func (a *API) deadlines(ctx context.Context, in *deadlinesInput) (*deadlinesOutput, error) {
	if in.Before.IsZero() {
		in.Before = time.Now().Add(time.Hour)
	}
	list, err := a.Sagas.Deadlines(ctx, in.Before, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &deadlinesOutput{}
	out.Body.Deadlines = list
	return out, nil
}

type listInput struct {
	State      httpserver.Text `query:"state" maxLength:"64" doc:"RUNNING, COMPENSATING, COMPENSATION_STUCK, SUSPENDED, or an end such as CONFIRMED"`
	Definition httpserver.Text `query:"definition" maxLength:"128"`
	Version    int             `query:"version" minimum:"0" doc:"Of the definition; all if left out"`
	Overdue    bool            `query:"overdue" doc:"Only those whose deadline has passed"`
	Stuck      bool            `query:"stuck" doc:"Only those that a person should look at"`
	OlderThan  httpserver.Text `query:"olderThan" maxLength:"32" doc:"Only those that began longer ago, such as 90s or 2h"`
	Attributes []string        `query:"attr,explode" maxItems:"8" doc:"Only those with this search attribute, such as sku=burger; all of them if there are several" example:"[\"sku=burger\"]"`
	Cursor     httpserver.Text `query:"cursor" maxLength:"512" doc:"The next of the page before"`
	Limit      int             `query:"limit" minimum:"1" maximum:"500" default:"50"`
}

type listOutput struct {
	Body struct {
		Sagas []inspect.Summary `json:"sagas" nullable:"false"`
		Next  string            `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
	}
}

func (a *API) list(ctx context.Context, in *listInput) (*listOutput, error) {
	f := inspect.Filter{
		State: strings.ToUpper(string(in.State)), Definition: string(in.Definition), Overdue: in.Overdue,
		Version: in.Version, Stuck: in.Stuck, Limit: in.Limit + 1,
	}
	var err error
	if f.Attributes, err = attributes(in.Attributes); err != nil {
		return nil, err
	}
	if in.OlderThan != "" {
		if f.OlderThan, err = time.ParseDuration(string(in.OlderThan)); err != nil || f.OlderThan < 0 {
			return nil, invalid("query.olderThan", "must be a duration such as 90s or 2h", in.OlderThan)
		}
	}
	if in.Cursor != "" {
		if f.After, err = parseCursor(string(in.Cursor)); err != nil {
			return nil, invalid("query.cursor", "invalid cursor", in.Cursor)
		}
	}
	sagas, err := a.Sagas.List(ctx, f, time.Now())
	if err != nil {
		return nil, err
	}
	if a.Readers != nil {
		for i := range sagas {
			sagas[i].Attributes = nil // they are part of what a saga carries
		}
	}
	out := &listOutput{}
	if len(sagas) > in.Limit {
		sagas = sagas[:in.Limit]
		last := sagas[in.Limit-1]
		out.Body.Next = formatCursor(inspect.Cursor{StartedAt: last.StartedAt, ID: last.ID, Definition: last.Definition})
	}
	out.Body.Sagas = sagas
	return out, nil
}

// attributes reads conditions such as sku=burger.
func attributes(conditions []string) (map[string]string, error) {
	all := make(map[string]string, len(conditions))
	for _, c := range conditions {
		name, value, found := strings.Cut(c, "=")
		if _, twice := all[name]; !found || name == "" || twice || len(c) > 512 || !terminal.Plain(c) {
			return nil, invalid("query.attr", "must be a name, an equals sign and a value, such as sku=burger, and each name once", c)
		}
		all[name] = value
	}
	return all, nil
}

func formatCursor(c inspect.Cursor) string {
	return base64.RawURLEncoding.EncodeToString([]byte(c.StartedAt.UTC().Format(time.RFC3339Nano) + " " + c.Definition + "\x00" + c.ID))
}

func parseCursor(s string) (inspect.Cursor, error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return inspect.Cursor{}, err
	}
	at, rest, _ := strings.Cut(string(raw), " ")
	definition, id, found := strings.Cut(rest, "\x00")
	if !found || id == "" || !terminal.Plain(id) || !terminal.Plain(definition) {
		return inspect.Cursor{}, errors.New("no id")
	}
	started, err := time.Parse(time.RFC3339Nano, at)
	return inspect.Cursor{StartedAt: started, ID: id, Definition: definition}, err
}

// SagaID names the saga to look at. It is exported because huma fills in exported fields only.
type SagaID struct {
	ID         httpserver.Text `path:"orderId" maxLength:"256" doc:"The key of the saga's messages: of an order saga, the order id"`
	Definition httpserver.Text `query:"definition" maxLength:"128" doc:"Its definition, where several have a saga of this id"`
}

func (in SagaID) ref() saga.Ref {
	return saga.Ref{Definition: string(in.Definition), ID: string(in.ID)}
}

type sagaOutput struct {
	ETag string `header:"ETag" doc:"The saga's revision: what an intervention names in If-Match" example:"\"3\""`
	Body Detail
}

// etag is the entity tag of a saga: every transition makes it another one.
func etag(revision int) string { return strconv.Quote(strconv.Itoa(revision)) }

// Detail is everything about one saga.
type Detail struct {
	ID         string          `json:"id"`
	Definition string          `json:"definition"`
	Version    int             `json:"version"`
	State      string          `json:"state"`
	Reason     string          `json:"reason,omitempty" doc:"Why it is being undone, or was"`
	Waits      []saga.Wait     `json:"waits,omitempty" doc:"What it waits for, and until when"`
	Steps      []StepDetail    `json:"steps" nullable:"false" doc:"How far each step has come"`
	Data       json.RawMessage `json:"data"`
	Revision   int             `json:"revision" doc:"Transitions so far: what an intervention names to act on what was seen"`
	Trouble    string          `json:"trouble,omitempty" doc:"Why a person should look at it"`
	Stale      int             `json:"staleReplies,omitzero" doc:"Replies that were recorded and not applied"`
	StartedAt  time.Time       `json:"startedAt"`
	UpdatedAt  time.Time       `json:"updatedAt"`
	EndedAt    *time.Time      `json:"endedAt,omitempty"`
	TookMS     float64         `json:"tookMs,omitzero" doc:"Milliseconds from start to end"`
	Timeline   []inspect.Line  `json:"timeline" nullable:"false"`
}

// StepDetail is how far one step has come.
type StepDetail struct {
	Name     string `json:"name"`
	Status   string `json:"status" doc:"idle, waiting, done, failed, given_up, skipped, undoing, undone, abandoned or assumed"`
	Attempts int    `json:"attempts,omitzero" doc:"Commands sent"`
	Undos    int    `json:"undos,omitzero" doc:"Undo commands sent"`
}

func (a *API) get(ctx context.Context, in *SagaID) (*sagaOutput, error) {
	state, lines, err := a.Sagas.Get(ctx, in.ref())
	if err != nil {
		return nil, err
	}
	return &sagaOutput{ETag: etag(state.Revision), Body: a.detail(state, lines)}, nil
}

func (a *API) detail(s saga.State, lines []inspect.Line) Detail {
	d := Detail{
		ID: s.ID, Definition: s.Definition, Version: s.Version, State: a.Sagas.Registry().StateName(s), Reason: s.Reason,
		Steps: []StepDetail{}, Data: s.Data, Revision: s.Revision, Trouble: s.Trouble(), Stale: s.Stale, StartedAt: s.StartedAt, UpdatedAt: s.UpdatedAt, Timeline: lines,
	}
	if s.Phase.Ended() {
		d.EndedAt = &s.EndedAt
		d.TookMS = float64(s.EndedAt.Sub(s.StartedAt).Microseconds()) / 1000
	}
	if def, ok := a.Sagas.Registry().Definition(s.Definition, s.Version); ok {
		d.Waits = def.Waits(s)
		for i, name := range def.StepNames() {
			if i >= len(s.Steps) {
				break // the definition was changed under its version
			}
			st := s.Steps[i]
			status := string(st.Status)
			if status == "" {
				status = "idle"
			}
			d.Steps = append(d.Steps, StepDetail{Name: name, Status: status, Attempts: st.Attempt, Undos: st.Undo})
		}
	}
	return d
}

var answers = []httpserver.Answer{
	{Err: store.ErrNotFound, Status: http.StatusNotFound, Detail: "there is no such saga"},
	{Err: store.ErrSeveral, Status: http.StatusConflict, Detail: "several definitions have a saga with this id; name one with ?definition="},
	{Err: saga.ErrEnded, Status: http.StatusConflict, Detail: "the saga has ended; cancel still undoes a completed one"},
	{Err: saga.ErrMoved, Status: http.StatusPreconditionFailed, Detail: "the saga has changed since; GET it and look again"},
	{Err: saga.ErrBadDeadline, Status: http.StatusUnprocessableEntity, Location: "body.to", Detail: "must be between a day ago and ten years from now"},
	{Err: saga.ErrNotWaiting, Status: http.StatusConflict, Detail: "that step waits for nothing; GET the saga to see what it waits for"},
	{Err: saga.ErrSuspended, Status: http.StatusConflict, Detail: "the saga is suspended: run an orchestrator that knows its definition's version"},
	{
		Err: saga.ErrUnknownEnd, Status: http.StatusUnprocessableEntity, Location: "body.end",
		Detail: "must be one of the definition's two ends; GET /v1/definitions names them",
	},
}

func invalid(location, message string, value any) error {
	return huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{
		Location: location, Message: message, Value: value,
	})
}
