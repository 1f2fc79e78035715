package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/orchestrator/internal/find"
)

func (a *API) registerFind(api huma.API) {
	httpserver.Handle(a.slow, a.revealing(api, huma.Operation{
		OperationID: "find", Method: http.MethodGet, Path: "/v1/find",
		Summary: "What an id, a key or a place in Kafka is, and where it stands",
		Description: "An order id, an event id, a row of an outbox (orders/812), a record (orders.v1/2@41), a key, a saga (order/17), a trace id or a job. " +
			"What can mean several things is answered with all of them; no meaning is an empty list, with what was searched.",
		Tags: []string{"Sagas"},
	}), a.find)
}

// withoutQuotes says where a thing stands without who ordered it, and why it was refused: it may
// quote what it carries.
func withoutQuotes(m find.Meaning) string {
	what, _, _ := strings.Cut(m.What, ", placed by ")
	what, _, _ = strings.Cut(what, ": ")
	return what
}

type findInput struct {
	Q httpserver.Text `query:"q" required:"true" minLength:"1" maxLength:"512" doc:"What to find"`
}

type findOutput struct {
	Body find.Answer
}

func (a *API) find(ctx context.Context, in *findInput) (*findOutput, error) {
	found := a.Finder.Find(ctx, string(in.Q))
	if a.Masks.Hides(admin.RoleOf(ctx)) {
		for i, m := range found.Meanings {
			found.Meanings[i].What = withoutQuotes(m)
		}
	}
	return &findOutput{Body: found}, nil
}
