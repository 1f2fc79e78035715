package inbox_test

import (
	"context"
	"sync"
	"testing"

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
// What was set aside by Reject, after it had failed alone again and again, takes effect too.
// A redrive of what is still wrong is a dead letter again, with the new reason and one failure
// more, and what waits goes on waiting. It is sent to the dead letter topic once.
// A follower that fails when its turn comes is a dead letter of its own, and holds up the rest.
// Kafka delivers again what was set aside: it is neither applied in passing, not even when what was
// wrong is repaired, nor set aside twice.
// The same follower from two places in Kafka (a replay) takes effect once.
// The partitions of a topic were made more: the key is in another partition now, and waits all the
// same.
// One that is behind another dead letter of its key would overtake it.
// An edited copy has the place of the message, and an id of its own; both are kept.
// Without Parking a dead letter holds up nothing, and can be redriven all the same.
// Messages without a key have no order.
// The order, headers and bytes that a message came with are what a redriven one has.
// A database that is unavailable is nobody's fault: the message stays parked, and is tried again.
// That messages of one key wait must not keep the consumer from setting aside one of another key:
// it would hold the message, and soon its partition, until an operator had emptied the queue.
