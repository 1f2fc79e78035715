// Package httpapi serves the operator's verbs under /v1/outbox, and under /v1/messages and
// /v1/deliveries what became of a message in every database. Counts and ids are open to anybody who
// reaches the port; what is in a message needs a token outside of loopback; every change needs a
// token of its own kind, and is recorded under the token's name.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/masking"
	"waybill.example/chassis/problem"
	"waybill.example/outbox-relay/internal/ops"
)

// API answers for some databases.
type API struct {
	Databases []*ops.Database
	// Sources says how the relay of each database is doing. It must be safe for concurrent use.
	Sources func() []Source
	// Broker is the Kafka that the rows of a database go to, as its login. It must be safe for
	// concurrent use.
	Broker func(database string) ops.Broker
	Tokens admin.Tokens
	// Readers may read payloads, which are other people's data; nil: everybody who reaches the API.
	Readers *admin.Tokens
	// Known are the tokens whose holders are recognised where there are no Readers, since they may
	// see what Masks hide from others.
	Known admin.Tokens
	Masks *masking.Rules
	Log   *slog.Logger

	operations httpserver.Operations
}

// Register adds the operations to a server.
func (a *API) Register(api huma.API) {
	// Overviews and plans read a lot.
	a.operations = httpserver.Operations{API: api, Log: a.Log, Answers: answers, Timeout: answerTimeout}
	a.registerReading()
	a.registerFinding()
	a.registerRows()
	a.registerReplays()
	a.registerTopics()
}

// answerTimeout is what a verb has to answer.
const answerTimeout = 10 * time.Second

// Target is what nearly every operation takes from its path. It is exported because huma passes
// over embedded structs that are not.
type Target struct {
	Database string `path:"database" doc:"The name of the database, as in RELAY_DATABASES."`
}

// listRequest asks for a page of a list of one database.
type listRequest struct {
	Target
	httpserver.Page
}

// page is a page of such a list.
type page[T any] struct {
	httpserver.Paged
	Body struct {
		Items []T    `json:"items" nullable:"false"`
		Next  string `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
	}
}

// list answers with a page of what a verb lists, whose cursors are ids.
func list[T any](ctx context.Context, a *API, r *listRequest, id func(T) int64, verb func(d *ops.Database, from int64, limit int) ([]T, error)) (*page[T], error) {
	from, err := r.After()
	if err != nil {
		return nil, err
	}
	d, err := a.database(r.Database)
	if err != nil {
		return nil, err
	}
	items, err := verb(d, from, r.Fetch())
	if err != nil {
		return nil, err
	}
	return paged(ctx, r.Page, items, id), nil
}

// paged is the page of items that are found by id.
func paged[T any](ctx context.Context, p httpserver.Page, items []T, id func(T) int64) *page[T] {
	out := &page[T]{}
	out.Body.Items, out.Body.Next, out.Paged = httpserver.Cut(ctx, p, items, func(last T) string { return httpserver.CursorOf(id(last)) })
	return out
}

// answer is a response with a body and nothing else.
type answer[T any] struct{ Body T }

func answered[T any](body T, err error) (*answer[T], error) {
	if err != nil {
		return nil, err
	}
	return &answer[T]{body}, nil
}

func (a *API) database(name string) (*ops.Database, error) {
	for _, d := range a.Databases {
		if d.Name == name {
			return d, nil
		}
	}
	return nil, huma.Error404NotFound("this relay knows no database " + name)
}

// on runs a verb on the database that a request names.
func on[T any](a *API, name string, verb func(*ops.Database) (T, error)) (*answer[T], error) {
	d, err := a.database(name)
	if err != nil {
		return nil, err
	}
	return answered(verb(d))
}

// answers are those to errors of the verbs, whose texts are made for operators.
var answers = []httpserver.Answer{
	{Err: ops.ErrNotFound, Type: problem.NotFound},
	{Err: ops.ErrConflict, Type: problem.Conflict},
	{Err: ops.ErrInvalid, Type: problem.ValidationFailed},
	{Err: ops.ErrChanged, Type: problem.Changed},
}

// revealing is an operation that shows a payload.
func (a *API) revealing(op huma.Operation) huma.Operation {
	return admin.Reading(a.operations.API, a.Readers, a.Known, a.Masks != nil, op)
}

// changing is an operation that needs a token.
func (a *API) changing(op huma.Operation) huma.Operation {
	op.Method = http.MethodPost
	op.Errors = append(op.Errors, http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed)
	return admin.Secure(a.operations.API, a.Tokens, op)
}
