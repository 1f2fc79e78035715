// Package httpapi is sagas over HTTP: looking at them and, with a token, intervening. The
// orchestrator serves it, and so can any service that runs sagas with sdk/saga/runner: it registers
// operations with an API of huma (see the Example).
//
// In the code:
//
//	api.go            what the API needs, its operations, and what errors are answered with
//	list.go           lists of sagas
//	detail.go         one saga
//	stats.go          how all of them are doing, and their deadlines
//	stream.go         one saga's transitions as they happen
//	definitions.go    definitions and their versions
//	interventions.go  what operators do, and what comes of it; bodies.go: what they ask for
//	preview.go        what would come of it
//	masked.go         what of a saga is hidden from who asks
//	suspensions.go    all sagas of a version, suspended and resumed
//	events.go         events and approvals from outside
package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/masking"
	"waybill.example/chassis/problem"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/orchestrator/internal/find"
	"waybill.example/orchestrator/internal/series"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

// API serves sagas. Its fields are set before Register, and not changed after it.
type API struct {
	// Sagas is where they are read.
	Sagas *inspect.Inspector
	// Runner applies interventions and events.
	Runner *runner.Runner
	Log    *slog.Logger
	// Explainer answers why a saga is where it is; an [explain.UnknownError] is a 404. Nil: there
	// is no such operation.
	Explainer interface {
		Explain(ctx context.Context, ref saga.Ref, now time.Time) (explain.Report, error)
		Trail(ctx context.Context, ref saga.Ref, now time.Time) (explain.Trail, error)
		Latency(ctx context.Context, since, now time.Time, sample int) (explain.Latency, error)
	}
	// Finder says what a name or an id means; nil: there is no such operation.
	Finder interface {
		Find(ctx context.Context, q string) find.Answer
	}
	// Series says how the last hour went; nil: there is no such operation.
	Series interface {
		Series(ctx context.Context, now time.Time) (series.Series, error)
	}
	// Batches intervenes in many sagas at once; nil: there is no such operation.
	Batches Batches
	// Tokens are who may intervene.
	Tokens admin.Tokens
	// Readers may read what a saga carries, which is other people's data; nil: every client that
	// reaches the API.
	Readers *admin.Tokens
	// Known are the tokens whose holders are recognised where there are no Readers, and Masks what
	// is hidden of payloads and data, and from whom; nil: nothing is.
	Known admin.Tokens
	Masks *masking.Rules
	// Closing ends streams when it is closed, so that the server can stop.
	Closing <-chan struct{}
	// AliveEvery is how often a stream without news says so; 15 seconds if it is 0.
	AliveEvery time.Duration
	streams    atomic.Int64 // that are open

	operations httpserver.Operations
	slow       httpserver.Operations // those that ask others, read all sagas, or watch what comes of them
}

// slowTimeout is what a slow operation has to answer: more than [answerWithin], by a step or
// two.
const slowTimeout = 15 * time.Second

// Register adds the operations to an API.
func (a *API) Register(api huma.API) {
	a.operations = httpserver.Operations{API: api, Log: a.Log, Answers: answers}
	a.slow = a.operations
	a.slow.Timeout = slowTimeout
	httpserver.Handle(a.operations, a.open(api, huma.Operation{
		OperationID: "list-sagas", Method: http.MethodGet, Path: "/v1/sagas",
		Summary: "List sagas, newest first", Tags: []string{"Sagas"},
	}), a.list)
	httpserver.Handle(a.operations, a.revealing(api, huma.Operation{
		OperationID: "get-saga", Method: http.MethodGet, Path: "/v1/sagas/{id}",
		Summary: "One saga: where it stands, what it waits for, and its timeline", Tags: []string{"Sagas"},
		Errors: []int{http.StatusNotFound, http.StatusConflict},
	}), a.get)
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "get-stats", Method: http.MethodGet, Path: "/v1/stats",
		Summary: "How the sagas are doing: by state, rates, and the time they take", Tags: []string{"Sagas"},
	}, a.stats)
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-deadlines", Method: http.MethodGet, Path: "/v1/deadlines",
		Summary: "What is being waited for, the earliest deadline first", Tags: []string{"Sagas"},
	}, a.deadlines)
	if a.Explainer != nil {
		a.registerExplain(api)
	}
	if a.Finder != nil {
		a.registerFind(api)
	}
	if a.Series != nil {
		httpserver.Handle(a.slow, huma.Operation{
			OperationID: "get-series", Method: http.MethodGet, Path: "/v1/series",
			Summary: "How the last hour went: sagas that began and ended, and the time they took", Tags: []string{"Sagas"},
		}, a.series)
	}
	a.registerStream(api)
	a.registerDefinitions(api)
	a.registerInterventions(api)
	if a.Batches != nil {
		a.registerBatches(api)
	}
	a.registerEvents(api)
}

func (a *API) registerExplain(api huma.API) {
	httpserver.Handle(a.slow, a.revealing(api, huma.Operation{
		OperationID: "explain-saga", Method: http.MethodGet, Path: "/v1/sagas/{id}/explain",
		Summary:     "Why it is where it is",
		Description: "What the saga waits for, what stands in the way, what will happen next and when, and one timeline over all databases. Sources that cannot be asked are named.",
		Tags:        []string{"Sagas"}, Errors: []int{http.StatusNotFound, http.StatusConflict},
	}), a.explain)
	httpserver.Handle(a.slow, a.revealing(api, huma.Operation{
		OperationID: "get-saga-messages", Method: http.MethodGet, Path: "/v1/sagas/{id}/messages",
		Summary:     "What it sent and was sent, and its data after each transition",
		Description: "The messages of its key in all outboxes that can be asked, with payloads and who handled them. The data is worked out again from the messages and held against what is stored.",
		Tags:        []string{"Sagas"}, Errors: []int{http.StatusNotFound, http.StatusConflict},
	}), a.trail)
	httpserver.Handle(a.slow, huma.Operation{
		OperationID: "latency", Method: http.MethodGet, Path: "/v1/latency",
		Summary:     "Where the time of recent orders went, as percentiles for each hop",
		Description: "A bounded sample of the sagas that ended, from the rows of all databases and the records in Kafka; there is no tracing backend.",
		Tags:        []string{"Sagas"},
	}, a.latency)
}

type latencyInput struct {
	Since  httpserver.Text `query:"since" maxLength:"32" default:"10m" doc:"Sagas that began since so long ago, such as 10m"`
	Sample int             `query:"sample" minimum:"1" maximum:"200" default:"50" doc:"How many of them to look at"`
}

type latencyOutput struct {
	Body explain.Latency
}

func (a *API) latency(ctx context.Context, in *latencyInput) (*latencyOutput, error) {
	since, err := time.ParseDuration(string(in.Since))
	if err != nil || since <= 0 {
		return nil, invalid("query.since", "must be a duration such as 90s or 2h", in.Since)
	}
	now := time.Now()
	l, err := a.Explainer.Latency(ctx, now.Add(-since), now, in.Sample)
	if err != nil {
		return nil, err
	}
	return &latencyOutput{Body: l}, nil
}

// revealing is an operation that shows what a saga carries.
func (a *API) revealing(api huma.API, op huma.Operation) huma.Operation {
	return admin.Reading(api, a.Readers, a.Known, a.Masks != nil, op)
}

// open is an operation that everybody may use, and that shows more to some.
func (a *API) open(api huma.API, op huma.Operation) huma.Operation {
	return admin.Reading(api, nil, a.Known, a.Masks != nil, op)
}

type explainOutput struct {
	Body explain.Report
}

func (a *API) explain(ctx context.Context, in *SagaID) (*explainOutput, error) {
	e, err := a.Explainer.Explain(ctx, in.ref(), time.Now())
	if unknown, ok := errors.AsType[*explain.UnknownError](err); ok {
		return nil, huma.Error404NotFound(unknown.Error())
	}
	if err != nil {
		return nil, err
	}
	switch hidden, err := a.hidden(ctx, in.ref()); {
	case errors.Is(err, store.ErrNotFound): // what it will carry is not known, so nothing is quoted
		e = e.Without(func(text string) string { return explain.Unquoted(text, masking.Placeholder) })
	case err != nil:
		return nil, err
	case hidden.hides:
		e = e.Without(hidden.text)
	}
	return &explainOutput{Body: e}, nil
}

type trailOutput struct {
	Body explain.Trail
}

func (a *API) trail(ctx context.Context, in *SagaID) (*trailOutput, error) {
	t, err := a.Explainer.Trail(ctx, in.ref(), time.Now())
	if err != nil {
		return nil, err
	}
	return &trailOutput{Body: t.Shown(a.Masks, admin.RoleOf(ctx))}, nil
}

var answers = []httpserver.Answer{
	{Err: store.ErrNotFound, Type: problem.NotFound, Detail: "there is no such saga"},
	{Err: store.ErrSeveral, Type: problem.AmbiguousSaga, Detail: "several definitions have a saga with this id; name one with ?definition= or --definition"},
	{Err: saga.ErrEnded, Type: problem.SagaEnded, Detail: "the saga has ended; cancel still undoes a completed one"},
	{Err: saga.ErrMoved, Type: problem.Changed, Detail: "the saga has changed since; GET it and look again"},
	{Err: saga.ErrBadDeadline, Type: problem.ValidationFailed, Location: "body.to", Detail: "must be between a day ago and ten years from now"},
	{Err: saga.ErrNotWaiting, Type: problem.NotWaiting, Detail: "that step waits for nothing; GET the saga to see what it waits for"},
	{Err: saga.ErrSuspended, Type: problem.SagaSuspended, Detail: "the saga is suspended: resume it, or its definition, or run an orchestrator that knows its definition's version"},
	{Err: saga.ErrNoEffect, Type: problem.NoEffect, Detail: "nothing to do: the saga is like that already"},
	{
		Err: saga.ErrUnknownEnd, Type: problem.ValidationFailed, Location: "body.end",
		Detail: "must be one of the definition's two ends; GET /v1/definitions names them",
	},
}

func invalid(location, message string, value any) error {
	return huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{
		Location: location, Message: message, Value: value,
	})
}
