package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// What was held for a saga was recorded as handled when it came. Set aside after all, it must not be
// taken for a duplicate of itself when somebody sends it again.
func TestApplyDue_AHeldMessageThatIsSetAsideCanBeSentAgain(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	newer, other := newStore(t, db, refund(t, 2)), newStore(t, db, refund(t, 1))
	newer.Encode, other.Encode, other.Consumer = plain, plain, "sagas"
	other.SetAside = func(m saga.Message, err error) outbox.Message {
		return outbox.Message{EventID: m.ID, Topic: "t.dlq", Key: m.Key, Type: m.Type, Payload: []byte(err.Error())}
	}
	out := apply(t, newer, start, event("RefundAsked", "1", uuid.Nil))
	apply(t, newer, start, event("Done-pay", "1", out[0].EventID))
	late := event("Done-pay", "1", out[0].EventID)
	id := late.Input.(saga.Message).ID
	for _, recorded := range []uuid.UUID{id, uuid.New()} {
		_, err := db.Pool.Exec(t.Context(), `insert into inbox (event_id, consumer, topic, "partition", "offset") values ($1, 'sagas', 't', 0, 1)`, recorded)
		require.NoError(t, err)
	}
	apply(t, other, start.Add(time.Minute), late)
	state, _, err := other.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Len(t, state.Held, 1)

	_, err = other.ApplyDue(t.Context(), start.Add(time.Hour), store.ReadAll(), 10)
	require.NoError(t, err)
	var letters, recorded int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select count(*) from outbox where topic = 't.dlq' and event_id = $1`, id).Scan(&letters))
	require.Equal(t, 1, letters)
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select count(*) from inbox`).Scan(&recorded))
	require.Equal(t, 1, recorded, "that of the other message")
}
