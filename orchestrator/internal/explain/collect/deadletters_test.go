package collect

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/inbox"
)

// What announces a dead letter stays in the outbox for as long as rows are kept. Whether it still
// is one, its service says: an operator is not sent after what was discarded long ago.
func TestLetters_SayWhatBecameOfWhatWasSetAside(t *testing.T) {
	t.Parallel()
	announced := func(offset string) explain.Message {
		return explain.Message{Topic: "orders.commands.v1.dlq", EventID: uuid.New(), Headers: map[string]string{
			inbox.HeaderDeadLetterTopic: "orders.commands.v1", inbox.HeaderDeadLetterPartition: "2", inbox.HeaderDeadLetterOffset: offset,
		}}
	}
	const answer = `{"deadLetters":[
		{"id":9,"state":"superseded","topic":"orders.commands.v1","partition":2,"offset":6,"eventId":"01a21953-321a-731e-9b48-2fcd8840b875"},
		{"id":8,"state":"parked","topic":"orders.commands.v1","partition":2,"offset":6,"eventId":"01a21953-321a-731e-9b48-2fcd8840b875"},
		{"id":7,"state":"discarded","topic":"orders.commands.v1","partition":2,"offset":4}]}`
	evidence := func() *explain.Evidence {
		return &explain.Evidence{ID: "1", Databases: []explain.Database{
			{Name: "orders", Sent: []explain.Message{announced("4"), announced("5"), announced("6"), {Topic: "orders.v1"}}},
		}}
	}
	noted := func(c Collector) (all []*explain.Letter) {
		e := evidence()
		note(e.Databases[0].Sent, c.letters(t.Context(), e.ID, e.Databases)[0])
		for _, m := range e.Databases[0].Sent {
			all = append(all, m.Letter)
		}
		return all
	}
	require.Equal(t, []*explain.Letter{
		{ID: 7, State: "discarded", Settled: true, Nameless: true}, nil, {ID: 8, State: "parked"}, nil,
	}, noted(Collector{Orders: peer(serve(t, 200, map[string]string{"/v1/dead-letters": answer}))}))
	require.Equal(t, make([]*explain.Letter, 4), noted(Collector{}), "nobody can be asked")
	require.Equal(t, make([]*explain.Letter, 4), noted(Collector{Orders: peer(serve(t, 401, map[string]string{"/v1/dead-letters": `{}`}))}), "it does not say")
}
