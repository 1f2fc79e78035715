package locks

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/auditlog"
	"waybill.example/chassis/httpserver"
)

// API serves a Watch under /v1/locks.
type API struct {
	Watch *Watch
	// Tokens are who may end a session.
	Tokens admin.Tokens
	// Readers may look, also at its last statement; nil: every client that reaches the API.
	Readers *admin.Tokens
}

// LockHolder is a session that holds what the service waits for.
type LockHolder struct {
	PID         int32    `json:"pid" doc:"0: a prepared transaction, which has no session"`
	Transaction string   `json:"transaction" doc:"What ending it names: another for each transaction of the session"`
	Login       string   `json:"login"`
	Application string   `json:"application"`
	State       string   `json:"state" doc:"Empty where the service's login may not see it, as since and statement"`
	Seconds     float64  `json:"seconds" doc:"How long its transaction has been open; -1: not known"`
	Statement   string   `json:"statement" doc:"Its last statement, cut; it can hold data"`
	Tables      []string `json:"tables" nullable:"false" doc:"Tables that it has locked something of"`
}

type holders struct {
	Body struct {
		Holders []LockHolder `json:"holders" nullable:"false"`
	}
}

type endRequest struct {
	PID  int32 `path:"pid" minimum:"1"`
	Body struct {
		Transaction string          `json:"transaction" minLength:"1" maxLength:"50" doc:"The transaction that was looked at"`
		Reason      httpserver.Text `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the audit log"`
	}
}

type ended struct {
	Body struct {
		PID int32 `json:"pid"`
	}
}

var answers = []httpserver.Answer{
	{Err: ErrNotHeld, Status: http.StatusConflict},
	{Err: ErrNotAllowed, Status: http.StatusConflict},
}

// Register adds the operations to a service's API.
func (a *API) Register(ops httpserver.Operations) {
	ops.Answers = slices.Concat(ops.Answers, answers)
	list := huma.Operation{
		OperationID: "list-lock-holders", Method: http.MethodGet, Path: "/v1/locks", Tags: []string{"Locks"},
		Summary: "Sessions of the database that hold what this service waits for",
	}
	if a.Readers != nil {
		list = admin.Secure(ops.API, *a.Readers, list)
	}
	httpserver.Handle(ops, list, a.list)
	httpserver.Handle(ops, admin.Secure(ops.API, a.Tokens, huma.Operation{
		OperationID: "end-lock-holder", Method: http.MethodPost, Path: "/v1/locks/{pid}/end", Tags: []string{"Locks"}, Errors: []int{http.StatusConflict},
		Summary: "End a session that holds what this service waits for: its transaction is rolled back",
	}), func(ctx context.Context, in *endRequest) (*ended, error) {
		out := &ended{}
		out.Body.PID = in.PID
		return out, a.Watch.End(ctx, in.PID, in.Body.Transaction, auditlog.Entry{
			Actor: admin.Actor(ctx), Client: admin.Client(ctx), Reason: string(in.Body.Reason),
		})
	})
}

func (a *API) list(ctx context.Context, _ *struct{}) (*holders, error) {
	found, err := a.Watch.Holders(ctx)
	if err != nil {
		return nil, err
	}
	out := &holders{}
	out.Body.Holders = make([]LockHolder, len(found))
	for i, b := range found {
		out.Body.Holders[i] = LockHolder{
			PID: b.PID, Transaction: b.Transaction, Login: b.User, Application: b.Application, State: b.State,
			Seconds: b.Since, Statement: b.Query, Tables: b.Tables,
		}
	}
	return out, nil
}
