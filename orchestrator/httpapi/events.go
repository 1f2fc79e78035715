package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/masking"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
)

func (a *API) registerEvents(api huma.API) {
	httpserver.Handle(a.operations, admin.Secure(api, a.Tokens, huma.Operation{
		OperationID: "deliver-event", Method: http.MethodPut, Path: "/v1/sagas/{id}/events/{eventId}",
		Summary: "Deliver an event that sagas await: an approval, for instance", Tags: []string{"Events"},
		Description: "It is applied to every saga with this id that awaits it, also before the step's turn has come. The event's id " +
			"identifies it: sent again, also after it came over Kafka, it is not applied again.",
		Errors: []int{http.StatusNotFound, http.StatusConflict},
	}), a.deliver)
}

type eventInput struct {
	ID      httpserver.Text `path:"id" maxLength:"256" doc:"The saga's id: of an order saga, the order id"`
	EventID uuid.UUID       `path:"eventId" format:"uuid" doc:"Identifies the event: the same one again has the same id"`
	Body    struct {
		Type httpserver.Text `json:"type" minLength:"1" maxLength:"128" doc:"One that a definition awaits, such as TripApproved"`
		Data json.RawMessage `json:"data,omitempty" doc:"What the event says; {} if left out"`
	}
}

type eventOutput struct {
	Body struct {
		Applied bool `json:"applied" doc:"False where the event was delivered before"`
	}
}

func (a *API) deliver(ctx context.Context, in *eventInput) (*eventOutput, error) {
	m := saga.Message{ID: in.EventID, Type: string(in.Body.Type), Key: string(in.ID), Data: in.Body.Data, Time: a.Runner.Now()}
	if len(m.Data) == 0 {
		m.Data = json.RawMessage("{}")
	}
	if a.Masks != nil {
		if err := masking.Refuse(m.Data); err != nil {
			return nil, misplaced("body.data", err)
		}
	}
	applied, err := a.Runner.DeliverEvent(ctx, m)
	switch {
	case errors.Is(err, runner.ErrNotAwaited):
		return nil, invalid("body.type", "must be an event that a definition awaits; GET /v1/definitions names them", in.Body.Type)
	case errors.Is(err, saga.ErrUnknownSaga):
		return nil, huma.Error404NotFound("no saga with this id has begun; send the event again when it has")
	case err != nil:
		return nil, err
	}
	a.Log.InfoContext(ctx, "event delivered over http", "saga", in.ID, "type", in.Body.Type, "event_id", in.EventID, "actor", admin.Actor(ctx), "applied", applied)
	out := &eventOutput{}
	out.Body.Applied = applied
	return out, nil
}
