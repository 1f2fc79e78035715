package cloudevents_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/cloudevents"
	"waybill.example/sdk/inbox"
)

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

var (
	event   = uuid.MustParse("0198f2a0-0000-7000-8000-000000000001")
	command = uuid.MustParse("0198f2a0-0000-7000-8000-000000000002")
)

func delivery(value string, headers ...string) inbox.Delivery {
	d := inbox.Delivery{Key: []byte("17"), Value: []byte(value), Time: time.Unix(9, 0)}
	for i := 0; i < len(headers); i += 2 {
		d.Headers = append(d.Headers, inbox.Header{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return d
}

func TestRead_ReturnsWhatTheHeadersSay(t *testing.T) {
	t.Parallel()
	m, err := cloudevents.Read(delivery(`{"a":1}`, "ce_id", event.String(), "ce_type", "RoomReserved",
		"ce_causationid", command.String(), "ce_time", "2026-01-02T03:04:05Z", "traceparent", trace, "waybill-saga", "trip"))
	if err != nil {
		t.Fatal(err)
	}
	want := cloudevents.Message{
		ID: event, Type: "RoomReserved", Key: "17", Saga: "trip", CausationID: command, TraceParent: trace,
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Data: []byte(`{"a":1}`),
	}
	if fmt.Sprint(m) != fmt.Sprint(want) {
		t.Fatalf("got %v, want %v", m, want)
	}
}

// The same event in answer to two commands is one event for a subscriber, and two replies for the
// saga.
func TestRead_AReplyThatIsSentAgainIsAnotherMessageForTheSagaThatAsked(t *testing.T) {
	t.Parallel()
	first, err := cloudevents.Read(delivery("", "ce_id", event.String(), "ce_type", "T", "ce_causationid", command.String()))
	if err != nil {
		t.Fatal(err)
	}
	other := uuid.MustParse("0198f2a0-0000-7000-8000-000000000003")
	again, err := cloudevents.Read(delivery("", "ce_id", event.String(), "ce_type", "T", "waybill-in-reply-to", other.String()))
	if err != nil {
		t.Fatal(err)
	}
	if first.ID != event || again.ID != cloudevents.ReplyID(event, other) || again.CausationID != other {
		t.Fatalf("first %v, again %v", first, again)
	}
}

func TestRead_RefusesWhatIsNotAMessage(t *testing.T) {
	t.Parallel()
	for problem, d := range map[string]inbox.Delivery{
		"ce_id is missing":   delivery("{}", "ce_type", "T"),
		"ce_type is missing": delivery("{}", "ce_id", event.String()),
		"is not JSON":        delivery("{", "ce_id", event.String(), "ce_type", "T"),
		"a NUL":              delivery("{}", "ce_id", event.String(), "ce_type", "T\x00"),
	} {
		if _, err := cloudevents.Read(d); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("got %v, want an error that says %q", err, problem)
		}
	}
}

// CloudEvents asks for a string that is unique within its source, not for a UUID.
func TestRead_AnIDThatIsNotAUUIDIsOneTogetherWithItsSource(t *testing.T) {
	t.Parallel()
	ids := map[uuid.UUID]bool{}
	for _, headers := range [][]string{{"ce_source", "a", "ce_id", "1"}, {"ce_source", "b", "ce_id", "1"}, {"ce_source", "a", "ce_id", "2"}, {"ce_source", "a", "ce_id", "1"}} {
		m, err := cloudevents.Read(delivery("", append(headers, "ce_type", "T")...))
		if err != nil {
			t.Fatal(err)
		}
		ids[m.ID] = true
	}
	if len(ids) != 3 {
		t.Fatalf("%d ids, want 3", len(ids))
	}
}

func ExampleEventID() {
	fmt.Println(cloudevents.EventID("trip/17", "ReserveRoom", "RoomReserved"))
	fmt.Println(cloudevents.EventID("trip/17", "ReserveRoom", "RoomReserved"))
	fmt.Println(cloudevents.EventID("trip/17", "ReserveRoom", "RoomRefused"))
	// Output:
	// 8cbf37b4-c17f-88b4-a2cb-85117ffb18f6
	// 8cbf37b4-c17f-88b4-a2cb-85117ffb18f6
	// a462c154-9c8c-8af0-9167-50d581eed701
}
