package inbox_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

func TestParking_LaterMessagesOfADeadLettersKeyFollowItInOrder(t *testing.T) {
	t.Parallel()
	for name, breakIt := range map[string]func(*faults){
		"refused by Apply": func(f *faults) { f.refused["a1"] = errors.New("no such order") },
		"unreadable":       func(f *faults) { f.garbled["a1"] = errors.New("not JSON") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newParking(t)
			breakIt(p.faults)
			p.process(t, keyed(1, "a", "a0"), keyed(2, "a", "a1"), keyed(3, "b", "b1"), keyed(4, "a", "a2"))
			require.Equal(t, inbox.Outcome{Applied: 1, Parked: 1}, p.process(t, keyed(5, "a", "a3"), keyed(6, "b", "b2")))
			require.ElementsMatch(t, []string{"a0", "b1", "b2"}, p.applied(t))
			require.Equal(t, []string{"a1 dead", "a2 parked", "a3 parked"}, p.all(t))

			p.repair("a1")
			p.redriven(t, "a1")
			require.Equal(t, []string{"a1", "a2", "a3"}, p.applied(t)[3:])
			require.Equal(t, []string{"a1 redriven", "a2 redriven", "a3 redriven"}, p.all(t))
			require.Zero(t, p.queues(t))
			require.Equal(t, inbox.Outcome{Applied: 1}, p.process(t, keyed(7, "a", "a4")), "the key flows from Kafka again")
		})
	}
}

func TestParking_AMessageThatTheConsumerRejectedIsRedrivenUnderItsOwnID(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.breaks["a1"] = errors.New("no")
	require.Error(t, p.Process(t.Context(), []inbox.Delivery{keyed(1, "a", "a1")}))
	require.NoError(t, p.Reject(t.Context(), keyed(1, "a", "a1"), errors.New("no")))
	require.Equal(t, inbox.Outcome{Parked: 1}, p.process(t, keyed(2, "a", "a2")))
	p.repair("a1")
	p.redriven(t, "a1")
	require.Equal(t, []string{"a1", "a2"}, p.applied(t))
	require.Equal(t, inbox.Outcome{Duplicates: 2}, p.process(t, keyed(9, "a", "a1"), keyed(10, "a", "a2")), "a replay knows them")
}

func TestParking_WhatFailsAgainIsDeadAgain(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["a1"] = errors.New("no such order")
	p.process(t, keyed(1, "a", "a1"), keyed(2, "a", "a2"))
	for i, reason := range []string{"still no such order", "and again"} {
		p.refused["a1"] = errors.New(reason)
		p.redriven(t, "a1")
		l, err := p.letters.Get(t.Context(), p.id(t, "a1"))
		require.NoError(t, err)
		require.Equal(t, deadletter.Dead, l.State)
		require.Equal(t, reason, l.Reason)
		require.Equal(t, 2+i, l.Failures)
	}
	p.repair("a1")
	p.breaks["a1"] = errors.New("Apply fails")
	p.redriven(t, "a1")
	require.Equal(t, []string{"a1 dead", "a2 parked"}, p.all(t))
	require.Empty(t, p.applied(t))
	var copies int
	require.NoError(t, p.pool.QueryRow(t.Context(), `select count(*) from outbox where topic = 't.dlq'`).Scan(&copies))
	require.Equal(t, 1, copies)
}

func TestParking_AFollowerThatFailsHoldsUpTheRest(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["a1"], p.refused["a3"] = errors.New("no"), errors.New("no")
	p.process(t, keyed(1, "a", "a1"), keyed(2, "a", "a2"), keyed(3, "a", "a3"), keyed(4, "a", "a4"))
	p.repair("a1")
	p.redriven(t, "a1")
	require.Equal(t, []string{"a1", "a2"}, p.applied(t))
	require.Equal(t, []string{"a1 redriven", "a2 redriven", "a3 dead", "a4 parked"}, p.all(t))
	p.discarded(t, "a3")
	require.Equal(t, []string{"a1", "a2", "a4"}, p.applied(t))
	require.Equal(t, inbox.Outcome{Duplicates: 1}, p.process(t, keyed(3, "a", "a3")), "what was discarded is not applied when Kafka delivers it again")
}

func TestParking_WhatIsDeliveredAgainIsSetAsideOnce(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["a1"] = errors.New("no")
	batch := []inbox.Delivery{keyed(1, "a", "a1"), keyed(2, "a", "a2"), keyed(3, "a", "a3")}
	p.process(t, batch...)
	require.Equal(t, inbox.Outcome{Duplicates: 3}, p.process(t, batch...))
	p.repair("a1")
	other := parkingIn(p.pool, "test", p.faults) // another instance, or the same after a restart
	require.Equal(t, inbox.Outcome{Duplicates: 3}, other.process(t, batch...))
	require.Empty(t, p.applied(t))
	p.redriven(t, "a1")
	require.Equal(t, inbox.Outcome{Duplicates: 3}, other.process(t, batch...))
	require.Equal(t, []string{"a1", "a2", "a3"}, p.applied(t))
}

func TestParking_AReplayOfAFollowerTakesEffectOnce(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["a1"] = errors.New("no")
	p.process(t, keyed(1, "a", "a1"), keyed(2, "a", "a2"), keyed(3, "a", "a2"))
	p.process(t, keyed(4, "a", "a1"), keyed(5, "a", "a2"))
	p.repair("a1")
	p.redriven(t, "a1")
	require.Equal(t, []string{"a1", "a2"}, p.applied(t))
	require.Zero(t, p.queues(t))
}

func TestParking_TheKeyWaitsWhicheverPartitionItIsIn(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["a1"] = errors.New("no")
	p.process(t, keyed(1, "a", "a1"))
	moved := keyed(0, "a", "a2")
	moved.Partition = 7
	other := parkingIn(p.pool, "test", p.faults)
	require.Equal(t, inbox.Outcome{Parked: 1}, other.process(t, moved))
}

func TestParking_IsOffWithoutTheSetting(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.Parking = nil
	p.refused["a1"] = errors.New("no")
	p.process(t, keyed(1, "a", "a1"), keyed(2, "a", "a2"))
	require.Equal(t, []string{"a2"}, p.applied(t))
	p.repair("a1")
	p.redriven(t, "a1")
	require.Equal(t, []string{"a2", "a1"}, p.applied(t))
}

func TestParking_MessagesWithoutAKeyDoNotWait(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["1"] = errors.New("no")
	p.process(t, keyed(1, "", "1"), keyed(2, "", "2"))
	require.Equal(t, []string{"2"}, p.applied(t))
}

func TestParking_ARedrivenMessageIsTheOneThatCame(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["v\x00\xff"] = errors.New("no")
	sent := keyed(1, "k\x00\xfe", "v\x00\xff")
	sent.Headers = []inbox.Header{{Key: "ce_type", Value: []byte("T")}, {Key: "x", Value: []byte("\x00\xff")}, {Key: "x", Value: nil}}
	p.process(t, sent)
	var got inbox.Delivery
	p.Apply = func(_ context.Context, _ *inbox.Tx, _ *struct{}, batch []inbox.Received[string]) ([]outbox.Message, error) {
		got = batch[0].Delivery
		return nil, nil
	}
	var id int64
	require.NoError(t, p.pool.QueryRow(t.Context(), `select id from dead_letters`).Scan(&id))
	l, err := p.letters.Redrive(t.Context(), id, deadletter.Change{})
	require.NoError(t, err)
	require.NoError(t, p.redrive.RunQueue(t.Context(), *l.KeyID))
	require.Equal(t, sent, got)
}

func TestParking_WhileMessagesWaitAnotherIsRejected(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	require.NoError(t, p.Reject(t.Context(), keyed(1, "a", "a1"), errors.New("no")))
	p.process(t, keyed(2, "a", "a2"))
	require.NoError(t, p.Reject(t.Context(), keyed(3, "b", "b1"), errors.New("no")))
	require.NoError(t, p.Reject(t.Context(), keyed(4, "a", "a3"), errors.New("no")))
	require.NoError(t, p.Reject(t.Context(), keyed(3, "b", "b1"), errors.New("no")), "delivered again")
	require.Equal(t, []string{"a1 dead", "a2 parked", "b1 dead", "a3 dead"}, p.all(t))
}
