package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
)

// registerSuspensions adds what suspends and resumes all sagas of a version.
func (a *API) registerSuspensions(api huma.API) {
	add := func(id, verb, summary string, do func(context.Context, string, int, saga.Operator) (runner.Outcome, error)) {
		httpserver.Handle(a.operations, a.changing(api, admin.For(admin.Admin, huma.Operation{
			OperationID: id, Method: http.MethodPost, Path: "/v1/definitions/{name}/versions/{version}/" + verb, Summary: summary,
			Description: "It takes no If-Match: a version is suspended or is not, whatever was looked at, and no_effect says that it was so already.",
		})), func(ctx context.Context, in *suspensionInput) (*suspensionOutput, error) {
			return a.suspendAll(ctx, in, verb, do)
		})
	}
	add("suspend-definition", "suspend", "Have all sagas of a version do nothing until it is resumed; every orchestrator follows within two seconds", a.Runner.SuspendDefinition)
	add("resume-definition", "resume", "Let the sagas of a suspended version go on", a.Runner.ResumeDefinition)
}

type suspensionInput struct {
	Name    httpserver.Text `path:"name" maxLength:"128"`
	Version int             `path:"version" minimum:"1" maximum:"2147483647"`
	Body    suspensionBody
}

type suspensionOutput struct {
	Body SuspensionOutcome
}

// SuspensionOutcome is what came of suspending or resuming a version.
type SuspensionOutcome struct {
	Result  runner.Result `json:"result" enum:"done,no_effect"`
	Because string        `json:"because,omitempty"`
}

func (a *API) suspendAll(ctx context.Context, in *suspensionInput, verb string, do func(context.Context, string, int, saga.Operator) (runner.Outcome, error)) (*suspensionOutput, error) {
	by := saga.Operator{ID: uuid.Must(uuid.NewV7()), Actor: admin.Actor(ctx), Reason: string(in.Body.Reason)}
	o, err := do(ctx, string(in.Name), in.Version, by)
	switch {
	case err != nil:
		return nil, err
	case o.Result == runner.Refused:
		return nil, huma.Error404NotFound(o.Because)
	}
	a.Log.InfoContext(ctx, "operator changed a definition", "definition", in.Name, "version", in.Version, "action", verb, "actor", by.Actor, "reason", by.Reason)
	return &suspensionOutput{Body: SuspensionOutcome{Result: o.Result, Because: o.Because}}, nil
}
