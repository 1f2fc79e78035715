package runner

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/cloudevents"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
)

// bodyCodec has the id in the body, as the contracts of the order saga do.
type bodyCodec struct{ CloudEvents }

func (bodyCodec) Decode(d inbox.Delivery) (saga.Message, error) {
	var body struct{ EventID uuid.UUID }
	if err := json.Unmarshal(d.Value, &body); err != nil {
		return saga.Message{}, err
	}
	m := saga.Message{ID: body.EventID}
	if again, err := uuid.Parse(d.Header(cloudevents.HeaderInReplyTo)); err == nil {
		m.ID = cloudevents.ReplyID(m.ID, again)
	}
	return m, nil
}

func (bodyCodec) Encode(saga.Ref, saga.Command) (outbox.Message, error) {
	return outbox.Message{}, nil
}

// What was kept for a saga is read as the same message when it is redriven, whether it was the
// first answer to its command or the same answer again.
func TestDelivery_IsReadAsTheMessageThatWasKept(t *testing.T) {
	t.Parallel()
	event, command := uuid.New(), uuid.New()
	body, err := json.Marshal(map[string]any{"eventId": event})
	if err != nil {
		t.Fatal(err)
	}
	for name, codec := range map[string]Codec{"id in the headers": CloudEvents{}, "id in the body": bodyCodec{}} {
		for _, id := range []uuid.UUID{event, cloudevents.ReplyID(event, command)} {
			r := &Runner{codec: codec}
			m := saga.Message{ID: id, Type: "Paid", Key: "17", CausationID: command, Data: body, Time: time.Now(), Source: "t/2/30"}
			d := r.delivery(m)
			if d == nil {
				t.Fatalf("%s: no delivery", name)
			}
			read, err := codec.Decode(*d)
			if err != nil || read.ID != id {
				t.Errorf("%s: read as %s (%v), kept as %s", name, read.ID, err, id)
			}
			if d.Topic != "t" || d.Partition != 2 || d.Offset != 30 || string(d.Key) != "17" || d.Header(cloudevents.HeaderType) != "Paid" {
				t.Errorf("%s: %+v", name, d)
			}
		}
	}
	if (&Runner{codec: CloudEvents{}}).delivery(saga.Message{Source: "HTTP"}) != nil {
		t.Error("what did not come from Kafka has no delivery")
	}
}
