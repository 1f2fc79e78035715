package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

// faults says which messages cannot be applied, as long as nobody has repaired what is wrong.
type faults struct {
	mu      sync.Mutex
	refused map[string]error // by Apply
	garbled map[string]error // by Decode
	breaks  map[string]error // Apply fails
}

func (f *faults) of(in map[string]error, value string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return in[value]
}

func (f *faults) repair(value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.refused, value)
	delete(f.garbled, value)
	delete(f.breaks, value)
}

func noFaults() *faults {
	return &faults{refused: map[string]error{}, garbled: map[string]error{}, breaks: map[string]error{}}
}

// parking is a consumer whose messages wait behind dead letters. Its effects are in the table
// applied, in their order.
type parking struct {
	*faults
	*inbox.Processor[string, struct{}]
	pool    *pgxpool.Pool
	letters *deadletter.Store
	redrive *inbox.Redriver
	last    inbox.Outcome
}

const appliedTable = `create table applied (id bigint generated always as identity, consumer text, key text, value text)`

func newParking(t *testing.T) *parking {
	t.Helper()
	pool := pgtest.New(t, migrations.Outbox).Pool
	_, err := pool.Exec(t.Context(), appliedTable)
	require.NoError(t, err)
	return parkingIn(pool, "test", noFaults())
}

// parkingIn is one instance of a consumer.
func parkingIn(pool *pgxpool.Pool, consumer string, f *faults) *parking {
	p := &parking{faults: f, pool: pool, letters: deadletter.NewStore(pool)}
	p.Processor = &inbox.Processor[string, struct{}]{
		Consumer: consumer, DB: pool, Parking: &inbox.Parking{},
		Decode: func(d inbox.Delivery) (uuid.UUID, string, error) {
			return uuid.NewSHA1(uuid.NameSpaceOID, d.Value), string(d.Value), f.of(f.garbled, string(d.Value))
		},
		Apply: func(_ context.Context, tx *inbox.Tx, _ *struct{}, batch []inbox.Received[string]) ([]outbox.Message, error) {
			for i, m := range batch {
				if reason := f.of(f.refused, m.Message); reason != nil {
					tx.Reject(i, reason)
					continue
				}
				if reason := f.of(f.breaks, m.Message); reason != nil {
					return nil, reason
				}
				tx.Last.Queue("insert into applied (consumer, key, value) values ($1, $2, $3)", consumer, string(m.Delivery.Key), m.Message)
			}
			return nil, nil
		},
	}
	p.Observe = func(o inbox.Outcome) {
		if o.Redriven == 0 {
			p.last = o
		}
	}
	p.redrive = p.Redriver(nil)
	return p
}

func (p *parking) process(t *testing.T, batch ...inbox.Delivery) inbox.Outcome {
	t.Helper()
	require.NoError(t, p.Process(t.Context(), batch))
	return p.last
}

func (p *parking) applied(t *testing.T) []string {
	t.Helper()
	rows, err := p.pool.Query(t.Context(), `select value from applied order by id`)
	require.NoError(t, err)
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return values
}

// all returns "value state" of what was set aside.
func (p *parking) all(t *testing.T) []string {
	t.Helper()
	rows, err := p.pool.Query(t.Context(), `select convert_from(payload, 'UTF8') || ' ' || state from dead_letters order by place, id`)
	require.NoError(t, err)
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return values
}

func (p *parking) queues(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, p.pool.QueryRow(t.Context(), `select count(*) from parked_keys`).Scan(&n))
	return n
}

func (p *parking) id(t *testing.T, value string) (id int64) {
	t.Helper()
	require.NoError(t, p.pool.QueryRow(t.Context(), `select id from dead_letters where convert_from(payload, 'UTF8') = $1 order by id limit 1`, value).Scan(&id))
	return id
}

// redriven redrives a dead letter and works its queue off.
func (p *parking) redriven(t *testing.T, value string) {
	t.Helper()
	l, err := p.letters.Redrive(t.Context(), p.id(t, value), deadletter.Change{})
	require.NoError(t, err)
	require.NoError(t, p.redrive.RunQueue(t.Context(), *l.KeyID))
}

func (p *parking) discarded(t *testing.T, value string) {
	t.Helper()
	l, err := p.letters.Discard(t.Context(), p.id(t, value), deadletter.Change{Note: "not needed"})
	require.NoError(t, err)
	require.NoError(t, p.redrive.RunQueue(t.Context(), *l.KeyID))
}

func keyed(offset int64, key, value string) inbox.Delivery {
	return inbox.Delivery{Topic: "t", Offset: offset, Key: []byte(key), Value: []byte(value)}
}

// Whatever makes a message a dead letter, later ones of its key wait, in the same batch and in
// later ones; other keys go on. Redriven after the repair, it takes effect, and they follow.
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

// What was set aside by Reject, after it had failed alone again and again, takes effect too.
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

// A redrive of what is still wrong is a dead letter again, with the new reason and one failure
// more, and what waits goes on waiting. It is sent to the dead letter topic once.
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

// A follower that fails when its turn comes is a dead letter of its own, and holds up the rest.
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

// Kafka delivers again what was set aside: it is neither applied in passing, not even when what was
// wrong is repaired, nor set aside twice.
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

// The same follower from two places in Kafka (a replay) takes effect once.
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

// The partitions of a topic were made more: the key is in another partition now, and waits all the
// same.
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

// One that is behind another dead letter of its key would overtake it.
func TestStore_RefusesToRedriveWhatIsNotTheFirstOfItsKey(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["a1"], p.garbled["a3"] = errors.New("no"), errors.New("no")
	p.process(t, keyed(1, "a", "a1"))
	p.process(t, keyed(2, "a", "a2"), keyed(3, "a", "a3"), keyed(4, "a", "a4"))
	require.Equal(t, []string{"a1 dead", "a2 parked", "a3 dead", "a4 parked"}, p.all(t))
	_, err := p.letters.Redrive(t.Context(), p.id(t, "a3"), deadletter.Change{})
	first, ok := errors.AsType[*deadletter.FirstError](err)
	require.True(t, ok, err)
	require.Equal(t, p.id(t, "a1"), first.ID)
	_, err = p.letters.Redrive(t.Context(), p.id(t, "a2"), deadletter.Change{})
	require.ErrorContains(t, err, "it is parked")
	_, err = p.letters.Redrive(t.Context(), p.id(t, "a1"), deadletter.Change{Revision: 7})
	require.ErrorIs(t, err, deadletter.ErrRevision)
	_, err = p.letters.Redrive(t.Context(), 999, deadletter.Change{})
	require.ErrorIs(t, err, deadletter.ErrNotFound)
	p.discarded(t, "a1")
	_, err = p.letters.Redrive(t.Context(), p.id(t, "a1"), deadletter.Change{})
	require.ErrorContains(t, err, "it is discarded")
	require.Equal(t, []string{"a2"}, p.applied(t), "a3 is dead still")
}

// An edited copy has the place of the message, and an id of its own; both are kept.
func TestStore_AnEditedCopyTakesThePlaceOfTheMessage(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["a1"] = errors.New("no")
	p.process(t, keyed(1, "a", "a1"), keyed(2, "a", "a2"))
	edited, err := p.letters.Edit(t.Context(), p.id(t, "a1"), deadletter.Edited{EventID: uuid.New(), Payload: []byte("a1 edited")}, deadletter.Change{Note: "typo"})
	require.NoError(t, err)
	require.Equal(t, []string{"a1 superseded", "a1 edited dead", "a2 parked"}, p.all(t))
	p.redriven(t, "a1 edited")
	require.Equal(t, []string{"a1 edited", "a2"}, p.applied(t))
	original, err := p.letters.Get(t.Context(), p.id(t, "a1"))
	require.NoError(t, err)
	require.Equal(t, edited.ID, *original.SupersededBy)
	p.repair("a1")
	require.Equal(t, inbox.Outcome{Duplicates: 1}, p.process(t, keyed(1, "a", "a1")), "the original is not applied when Kafka delivers it again")
}

// Without Parking a dead letter holds up nothing, and can be redriven all the same.
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

// Messages without a key have no order.
func TestParking_MessagesWithoutAKeyDoNotWait(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["1"] = errors.New("no")
	p.process(t, keyed(1, "", "1"), keyed(2, "", "2"))
	require.Equal(t, []string{"2"}, p.applied(t))
}

// The order, headers and bytes that a message came with are what a redriven one has.
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

// A database that is unavailable is nobody's fault: the message stays parked, and is tried again.
func TestRedriver_WaitsOutWhatIsNotTheMessagesFault(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["a1"] = errors.New("no")
	p.process(t, keyed(1, "a", "a1"), keyed(2, "a", "a2"))
	p.repair("a1")
	_, err := p.pool.Exec(t.Context(), `alter table applied rename to hidden`)
	require.NoError(t, err)
	l, err := p.letters.Redrive(t.Context(), p.id(t, "a1"), deadletter.Change{})
	require.NoError(t, err)
	require.ErrorContains(t, p.redrive.RunQueue(t.Context(), *l.KeyID), `relation "applied" does not exist`)
	require.Equal(t, []string{"a1 parked", "a2 parked"}, p.all(t))
	_, err = p.pool.Exec(t.Context(), `alter table hidden rename to applied`)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.redrive.Run(ctx) }()
	require.Eventually(t, func() bool { return len(p.applied(t)) == 2 }, 30*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

func TestRedriver_APanicIsTheMessagesFault(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["a1"] = errors.New("no")
	p.process(t, keyed(1, "a", "a1"))
	p.Apply = func(context.Context, *inbox.Tx, *struct{}, []inbox.Received[string]) ([]outbox.Message, error) {
		panic("oh")
	}
	p.redriven(t, "a1")
	l, err := p.letters.Get(t.Context(), p.id(t, "a1"))
	require.NoError(t, err)
	require.Contains(t, l.Reason, "panicked: oh")
}

func TestStore_RemovesWhatIsClosedAndOldOnly(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	for i, key := range []string{"a", "b", "c"} {
		p.refused[key+"1"] = errors.New("no")
		p.process(t, keyed(int64(10*i+1), key, key+"1"), keyed(int64(10*i+2), key, key+"2"))
	}
	p.discarded(t, "a1")
	p.repair("b1")
	p.redriven(t, "b1")
	n, err := p.letters.Sweep(t.Context(), 1<<40, 100)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = p.letters.Sweep(t.Context(), 0, 3)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	n, err = p.letters.Sweep(t.Context(), 0, 3)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []string{"c1 dead", "c2 parked"}, p.all(t))
}

func TestCause_LeavesOutWhatDiffersFromMessageToMessage(t *testing.T) {
	t.Parallel()
	require.Equal(t, deadletter.Cause(errors.New("order 17 does not exist")), deadletter.Cause(errors.New("order 18 does not exist")))
	require.Equal(t, deadletter.Cause(fmt.Errorf(`event id %s: "x"`, uuid.New())), deadletter.Cause(fmt.Errorf(`event id %s: "y"`, uuid.New())))
	require.NotEqual(t, deadletter.Cause(errors.New("order 17 does not exist")), deadletter.Cause(errors.New("order 17 is cancelled")))
}

// That messages of one key wait must not keep the consumer from setting aside one of another key:
// it would hold the message, and soon its partition, until an operator had emptied the queue.
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
