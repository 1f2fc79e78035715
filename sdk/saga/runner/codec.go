package runner

import (
	"encoding/json"
	"fmt"

	"waybill.example/sdk/cloudevents"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
)

// Codec translates between Kafka messages and those of the engine. Its methods are called by
// several goroutines at once, and must be pure: a batch that is tried again is decoded again.
type Codec interface {
	// Decode reads a delivery. The message's ID identifies it wherever and however often it comes,
	// and its Key is the saga's id. An error that wraps [inbox.ErrSkip] leaves the delivery alone;
	// any other makes it a dead letter, unless the message that is returned with the error has a
	// type that no definition knows.
	Decode(inbox.Delivery) (saga.Message, error)
	// Encode makes the outbox message of a command that the saga sends. Its event id must be the
	// command's ID, and its key the saga's id.
	Encode(saga.Ref, saga.Command) (outbox.Message, error)
}

// CloudEvents is the default [Codec]: CloudEvents in binary content mode with a JSON body, as the
// package cloudevents describes it and the participant kit reads and writes it. A command is sent
// to the topic that its definition names ([saga.Step.To]).
type CloudEvents struct{}

// Decode implements [Codec].
func (CloudEvents) Decode(d inbox.Delivery) (saga.Message, error) {
	m, err := cloudevents.Read(d)
	if err != nil {
		return saga.Message{Type: d.Header(cloudevents.HeaderType)}, err
	}
	return saga.Message{
		ID: m.ID, Type: m.Type, Key: m.Key, CausationID: m.CausationID, Data: m.Data, Time: m.Time, Trace: m.TraceParent,
	}, nil
}

// Encode implements [Codec].
func (CloudEvents) Encode(of saga.Ref, c saga.Command) (outbox.Message, error) {
	body, err := json.Marshal(c.Body)
	if err != nil {
		return outbox.Message{}, fmt.Errorf("encode %s: %w", c.Type, err)
	}
	headers := cloudevents.ReplyHeaders(c.CausationID, false, c.Trace)
	headers[cloudevents.HeaderSaga] = of.Definition
	return outbox.Message{
		EventID: c.ID, Topic: c.Topic, Key: c.Key, Type: c.Type, Payload: body, Headers: headers,
	}, nil
}
