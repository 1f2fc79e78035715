package consumer_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
)

// A command that is delivered again, in the same batch or a later one, changes nothing and is
// answered once: its first answer is in the outbox, and cannot get lost.
func TestHandler_ARedeliveredCommandHasNoSecondEffect(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]contracts.Message{"confirm": confirm(pending), "cancel": cancel(pending, "why")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			f.process(t, f.deliver(t, m), f.deliver(t, m))
			state := f.order(t, pending)
			f.process(t, f.deliver(t, m))
			require.Equal(t, state, f.order(t, pending))
			require.Len(t, f.answers(t), 1)
			require.InDelta(t, 1, f.commands("changed"), 0)
		})
	}
}

// The saga asks again with a new message when it has no answer: it gets one. That is the same event
// again, byte for byte, for other subscribers: it happened once.
func TestHandler_ACommandThatIsAskedAgainIsAnsweredWithTheSameEvent(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]func() contracts.Message{
		"confirm": func() contracts.Message { return confirm(pending) },
		"cancel":  func() contracts.Message { return cancel(pending, "late") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			var asked []uuid.UUID
			for range 3 {
				one, two := command(), command()
				asked = append(asked, one.Meta().EventID, two.Meta().EventID)
				f.process(t, f.deliver(t, one), f.deliver(t, two))
			}
			for i, a := range f.answers(t) {
				require.Equal(t, asked[i], a.Cause)
			}
			require.InDelta(t, 5, f.commands("repeated"), 0)
			var rows, events, again int
			require.NoError(t, f.Pool.QueryRow(t.Context(), `
select count(*), count(distinct (event_id, topic, key, type, payload)), count(headers ->> 'waybill-in-reply-to') from outbox`).Scan(&rows, &events, &again))
			require.Equal(t, []int{6, 1, 5}, []int{rows, events, again})
		})
	}
}

// An order that was taken back to an earlier moment, and is changed again by the same command, says
// so under the same id: what happened once has one.
func TestHandler_WhatIsDoneAgainAfterARestoreHasTheSameEventID(t *testing.T) {
	t.Parallel()
	f := start(t)
	command := f.deliver(t, confirm(pending))
	f.process(t, command)
	_, err := f.Pool.Exec(t.Context(), "delete from inbox; update orders set status = 'PENDING', updated_at = created_at where id = 1")
	require.NoError(t, err)
	f.process(t, command)
	rows, err := f.Pool.Query(t.Context(), "select event_id, payload from outbox")
	require.NoError(t, err)
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct {
		ID      uuid.UUID
		Payload []byte
	}])
	require.NoError(t, err)
	require.Len(t, events, 2)
	require.Equal(t, contracts.EventID(pending, contracts.TypeOrderConfirmed, 0), events[0].ID)
	require.Equal(t, events[0].ID, events[1].ID)
	require.Equal(t, contracts.Content(events[0].Payload), contracts.Content(events[1].Payload))
}
