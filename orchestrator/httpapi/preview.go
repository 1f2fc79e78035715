package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/masking"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
)

func (a *API) registerPreview(api huma.API) {
	httpserver.Handle(a.operations, a.revealing(api, huma.Operation{
		OperationID: "preview-intervention", Method: http.MethodGet, Path: "/v1/sagas/{definition}/{id}/preview",
		Summary:     "What an intervention would send, and what could follow",
		Description: "The engine decides about the saga as it is now, and nothing is written. What is refused is answered with 200 as well, and the reason.",
		Tags:        []string{"Interventions"}, Errors: []int{http.StatusNotFound},
	}), a.preview)
}

type previewInput struct {
	Definition httpserver.Text `path:"definition" maxLength:"128"`
	ID         httpserver.Text `path:"id" maxLength:"256"`
	Action     string          `query:"action" required:"true" enum:"retry,cancel,resolve,skip-wait,edit-data,suspend,resume,restart-from,force,move-deadline,revoke-deadline"`
	Step       httpserver.Text `query:"step" maxLength:"128"`
	As         string          `query:"as" enum:"done,failed,undone" doc:"Of resolve"`
	Reply      httpserver.Text `query:"reply" maxLength:"128" doc:"Of resolve"`
	Data       string          `query:"data" maxLength:"16384" doc:"Of resolve: the reply's body, as JSON"`
	Patch      string          `query:"patch" maxLength:"16384" doc:"Of edit-data: a JSON merge patch"`
	End        httpserver.Text `query:"end" maxLength:"64" doc:"Of force"`
	To         time.Time       `query:"to" doc:"Of move-deadline"`
	Depth      int             `query:"depth" minimum:"0" maximum:"4" default:"2" doc:"How many messages or deadlines to look ahead"`
}

func (in *previewInput) request() saga.Request {
	return saga.Request{
		Action: saga.Action(in.Action), Step: string(in.Step), As: saga.StepStatus(in.As), Reply: string(in.Reply),
		Data: json.RawMessage(in.Data), Patch: json.RawMessage(in.Patch), End: string(in.End), To: in.To,
	}
}

type previewOutput struct {
	ETag string `header:"ETag" doc:"The revision that was looked at: what the intervention names in If-Match to be what was previewed"`
	Body Preview
}

// Preview is what an intervention would lead to.
type Preview struct {
	Result    runner.Result `json:"result" enum:"done,no_effect,refused" doc:"What would come of it now"`
	Because   string        `json:"because,omitempty" doc:"Why it would have no effect, or be refused"`
	Revision  int           `json:"revision" doc:"Of the saga that was looked at"`
	From      string        `json:"from" doc:"The state that the saga is in"`
	To        string        `json:"to" doc:"The state that it would be in"`
	Note      string        `json:"note,omitempty" doc:"What the timeline would say"`
	Sends     []Sends       `json:"sends" nullable:"false" doc:"The commands that would be sent, in this order"`
	Deadline  *time.Time    `json:"deadline,omitempty" doc:"When the saga would act next if nothing came"`
	Then      []saga.Future `json:"then,omitempty" doc:"What could follow, for each message or deadline that may come next. Messages are tried with an empty body"`
	Truncated bool          `json:"truncated,omitzero" doc:"True where there are more futures"`
}

// Sends is a command that would be sent.
type Sends struct {
	Type    string       `json:"type"`
	Topic   string       `json:"topic,omitempty" doc:"Absent where it is carried out here"`
	Key     string       `json:"key"`
	Payload masking.View `json:"payload,omitzero"`
	Masked  string       `json:"masked,omitempty" doc:"What of the payload is hidden from you, in words; absent: nothing is"`
}

func (a *API) preview(ctx context.Context, in *previewInput) (*previewOutput, error) {
	ref := saga.Ref{Definition: string(in.Definition), ID: string(in.ID)}
	hidden, err := a.hidden(ctx, ref)
	if err != nil {
		return nil, err
	}
	request, seen, err := a.restored(hidden, in.request(), "query")
	if err != nil {
		return nil, err
	}
	do, err := request.For(saga.Operator{ID: uuid.Must(uuid.NewV7()), Actor: "you", Reason: "previewed", Seen: seen})
	if err != nil {
		return nil, badRequest("query", err)
	}
	p, err := a.Runner.Preview(ctx, runner.Intervention{Saga: ref, Do: do}, in.Depth)
	if err != nil {
		return nil, err
	}
	if !p.Before.Exists() {
		return nil, p.Err
	}
	names := a.Sagas.Registry()
	out := Preview{
		Result: p.Result, Because: hidden.text(p.Because), Revision: p.Before.Revision, From: names.StateName(p.Before), To: names.StateName(p.After),
		Sends: []Sends{}, Then: p.Then, Truncated: p.Truncated,
	}
	for _, t := range p.Transitions {
		out.Note = hidden.note(in.Action, t.Note)
	}
	for _, m := range p.Messages {
		view := a.Masks.Message(admin.RoleOf(ctx), m.Topic, m.Type, m.Payload)
		out.Sends = append(out.Sends, Sends{Type: m.Type, Topic: m.Topic, Key: m.Key, Payload: view, Masked: view.Says()})
	}
	for _, c := range p.Local {
		out.Sends = append(out.Sends, Sends{Type: c.Type, Key: c.Key})
	}
	if due, waits := p.After.Deadline(); waits {
		out.Deadline = &due
	}
	return &previewOutput{ETag: etag(p.Before.Revision), Body: out}, nil
}
