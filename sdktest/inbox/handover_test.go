package inbox_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

// stopAt has Apply wait at a message until the returned function is called; at says that it does.
func (p *parking) stopAt(value string) (at chan struct{}, goOn func()) {
	at, gate, apply := make(chan struct{}), make(chan struct{}), p.Apply
	p.Apply = func(ctx context.Context, tx *inbox.Tx, s *struct{}, batch []inbox.Received[string]) ([]outbox.Message, error) {
		if batch[0].Message == value {
			close(at)
			<-gate
		}
		return apply(ctx, tx, s, batch)
	}
	return at, func() { close(gate) }
}

// waitsForALock waits until a session of the database waits for another, or done says that there is
// none to wait for.
func (p *parking) waitsForALock(t *testing.T, done <-chan error) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waits bool
		require.NoError(t, p.pool.QueryRow(t.Context(),
			`select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')`).Scan(&waits))
		return waits || len(done) > 0
	}, 30*time.Second, 5*time.Millisecond)
}

// The last of a queue is being applied when Kafka delivers the next message of its key. The
// delivery waits for it, finds no queue any more, and is applied after it.
func TestParking_ADeliveryDoesNotOvertakeTheEndOfAQueue(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["a1"] = errors.New("no")
	p.process(t, keyed(1, "a", "a1"), keyed(2, "a", "a2"))
	p.repair("a1")
	other := parkingIn(p.pool, "test", p.faults)
	at, goOn := p.stopAt("a2")
	l, err := p.letters.Redrive(t.Context(), p.id(t, "a1"), deadletter.Change{})
	require.NoError(t, err)
	redriven, delivered := make(chan error, 1), make(chan error, 1)
	go func() { redriven <- p.redrive.RunQueue(t.Context(), *l.KeyID) }()
	<-at
	go func() { delivered <- other.Process(t.Context(), []inbox.Delivery{keyed(3, "a", "a3")}) }()
	p.waitsForALock(t, delivered)
	goOn()
	require.NoError(t, <-redriven)
	require.NoError(t, <-delivered)
	require.Equal(t, []string{"a1", "a2", "a3"}, p.applied(t))
	require.Equal(t, []string{"a1 redriven", "a2 redriven"}, p.all(t))
	require.Zero(t, p.queues(t))
}

// An instance that has lost its partition sets a message aside while the next owner, which got it
// too, waits for that. The next owner parks what follows, though it saw no queue when it began.
func TestParking_TheNextOwnerOfAPartitionHearsOfWhatTheLastOneSetAside(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.garbled["a1"] = errors.New("not JSON")
	other := parkingIn(p.pool, "test", p.faults)
	at, goOn := p.stopAt("b1")
	last, next := make(chan error, 1), make(chan error, 1)
	go func() { last <- p.Process(t.Context(), []inbox.Delivery{keyed(1, "b", "b1"), keyed(2, "a", "a1")}) }()
	<-at
	go func() { next <- other.Process(t.Context(), []inbox.Delivery{keyed(2, "a", "a1"), keyed(3, "a", "a2")}) }()
	p.waitsForALock(t, next)
	goOn()
	require.NoError(t, <-last)
	require.NoError(t, <-next)
	require.Equal(t, []string{"b1"}, p.applied(t))
	require.Equal(t, []string{"a1 dead", "a2 parked"}, p.all(t))
}

// The process dies between two messages of a queue, or in the middle of one. The next goes on where
// it was: nothing is lost, nothing is applied twice.
func TestRedriver_GoesOnWhereAnotherOneHasDied(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["a1"] = errors.New("no")
	p.process(t, keyed(1, "a", "a1"), keyed(2, "a", "a2"), keyed(3, "a", "a3"))
	p.repair("a1")
	ctx, die := context.WithCancel(t.Context())
	at, goOn := p.stopAt("a2")
	l, err := p.letters.Redrive(t.Context(), p.id(t, "a1"), deadletter.Change{})
	require.NoError(t, err)
	died := make(chan error, 1)
	go func() { died <- p.redrive.RunQueue(ctx, *l.KeyID) }()
	<-at
	die()
	goOn()
	require.ErrorIs(t, <-died, context.Canceled)
	require.Equal(t, []string{"a1 redriven", "a2 parked", "a3 parked"}, p.all(t))
	next := parkingIn(p.pool, "test", p.faults)
	require.NoError(t, next.redrive.RunQueue(t.Context(), *l.KeyID))
	require.Equal(t, []string{"a1", "a2", "a3"}, p.applied(t))
}
