package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
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
)

// Two instances of a consumer get the messages of two partitions, in batches, while operators
// redrive, edit and discard, also in a process that dies before it works the queue off, redrivers
// of both instances work the same queues off, partitions move and are read again from an earlier
// place, an instance that has lost a partition goes on for a while, and transactions are cut off
// anywhere. Whatever happens together, at any moment:
//
//   - a queue has a row if it has messages, and is due if the first of them is parked: so some
//     redriver finds it, whichever process has died;
//
// and in the end:
//
//   - what was not discarded was applied exactly once, and what was discarded not at all;
//   - the messages of each key were applied in their order;
//   - no queue is left, and nothing is parked.
func TestParking_HoldsOrderInWhateverHappensTogether(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, migrations.Outbox).Pool
	_, err := pool.Exec(t.Context(), appliedTable)
	require.NoError(t, err)
	rounds := 6
	if testing.Short() {
		rounds = 3
	}
	if many, err := strconv.Atoi(os.Getenv("PARKING_ROUNDS")); err == nil {
		rounds = many
	}
	for round := range rounds {
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano()) + uint64(round)
			t.Log("seed", seed)
			w := newWorld(pool, "test-"+strconv.Itoa(round), seed)
			for range 30 {
				w.together(t)
				w.checkQueues(t)
			}
			w.finish(t)
			w.check(t)
		})
	}
}

const (
	partitions  = 2
	perLog      = 60
	keysPerLog  = 3
	allTogether = 4 // at most
)

// world is two instances and the messages that they get.
type world struct {
	*faults
	pool      *pgxpool.Pool
	consumer  string
	instances [2]*parking
	letters   *deadletter.Store
	logs      [partitions][]inbox.Delivery

	mu        sync.Mutex
	rnd       *rand.Rand
	owner     [partitions]int // which instance reads it
	next      [partitions]int // from where
	durable   [partitions]int // up to where all have been applied or set aside
	discarded map[string]bool
}

func newWorld(pool *pgxpool.Pool, consumer string, seed uint64) *world {
	w := &world{
		faults: noFaults(), pool: pool, consumer: consumer, letters: deadletter.NewStore(pool),
		rnd: rand.New(rand.NewPCG(seed, 1)), discarded: make(map[string]bool),
	}
	for i := range w.instances {
		w.instances[i] = parkingIn(pool, consumer, w.faults)
		w.instances[i].Observe = nil
	}
	for p := range w.logs {
		for n := range perLog {
			key := fmt.Sprintf("%c%d", 'a'+p, w.rnd.IntN(keysPerLog))
			value := fmt.Sprintf("%s/%s/%d", consumer, key, n)
			w.logs[p] = append(w.logs[p], inbox.Delivery{Topic: "t", Partition: int32(p), Offset: int64(n), Key: []byte(key), Value: []byte(value)})
			switch w.rnd.IntN(12) {
			case 0:
				w.refused[value] = errors.New("refused")
			case 1:
				w.garbled[value] = errors.New("garbled")
			case 2:
				w.breaks[value] = errors.New("breaks")
			}
		}
	}
	return w
}

func (w *world) roll(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rnd.IntN(n)
}

// together does a few things at once.
func (w *world) together(t *testing.T) {
	t.Helper()
	var wg sync.WaitGroup
	var busy [partitions]bool
	for range 1 + w.roll(allTogether) {
		p, instance := w.roll(partitions), w.instances[w.roll(2)]
		switch w.roll(9) {
		case 0, 1:
			if !busy[p] {
				busy[p] = true
				wg.Go(func() { w.deliver(t, p) })
			}
		case 2:
			if !busy[p] {
				w.move(p)
			}
		case 3:
			ctx, cancel := w.cut(t)
			wg.Go(func() { defer cancel(); w.redriveOne(ctx, instance) })
		case 4:
			wg.Go(func() { w.discardOne(t) })
		case 5:
			from, n := w.roll(perLog), 1+w.roll(5)
			wg.Go(func() { w.late(t, instance, p, from, n) })
		case 6:
			wg.Go(func() { w.dieAfterRedrive(t) })
		case 7:
			ctx, cancel := w.cut(t)
			wg.Go(func() { defer cancel(); w.workOff(ctx, instance) })
		case 8:
			wg.Go(func() { w.editOne(t) })
		}
	}
	wg.Wait()
}

// cut returns a context that may end in the middle.
func (w *world) cut(t *testing.T) (context.Context, context.CancelFunc) {
	if w.roll(3) > 0 {
		return context.WithCancel(t.Context())
	}
	return context.WithTimeout(t.Context(), time.Duration(w.roll(15_000))*time.Microsecond)
}

// deliver gives the owner of a partition its next messages.
func (w *world) deliver(t *testing.T, p int) {
	ctx, cancel := w.cut(t)
	defer cancel()
	size := 1 + w.roll(6)
	w.mu.Lock()
	from, owner := w.next[p], w.instances[w.owner[p]]
	w.mu.Unlock()
	to := min(from+size, perLog)
	if owner.Process(ctx, w.logs[p][from:to]) != nil {
		// The one that Apply fails for is set aside by itself, once it is the first.
		if w.of(w.breaks, string(w.logs[p][from].Value)) == nil || owner.Reject(ctx, w.logs[p][from], errors.New("broken")) != nil {
			return
		}
		to = from + 1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next[p], w.durable[p] = to, max(w.durable[p], to)
}

// move gives a partition to the other instance, which reads some of it again.
func (w *world) move(p int) {
	back := w.roll(8)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owner[p] = 1 - w.owner[p]
	w.next[p] = max(0, w.next[p]-back)
}

// late is an instance that applies messages which it had read when the partition was its own: the
// first of them is not behind what is durable.
func (w *world) late(t *testing.T, instance *parking, p, from, n int) {
	ctx, cancel := w.cut(t)
	defer cancel()
	w.mu.Lock()
	from = min(from, w.durable[p])
	w.mu.Unlock()
	_ = instance.Process(ctx, w.logs[p][from:min(from+n, perLog)])
}

// redriveOne repairs what is wrong with a dead letter, or not yet, and redrives it.
func (w *world) redriveOne(ctx context.Context, instance *parking) {
	l, ok := w.pick(ctx)
	if !ok {
		return
	}
	if w.roll(3) > 0 {
		w.repair(string(l.Payload))
	}
	if l, err := w.letters.Redrive(ctx, l.ID, deadletter.Change{}); err == nil {
		_ = instance.redrive.RunQueue(ctx, *l.KeyID)
	}
}

// dieAfterRedrive is a job, or an operator's request, in a process that dies at the next step.
func (w *world) dieAfterRedrive(t *testing.T) {
	l, ok := w.pick(t.Context())
	if !ok {
		return
	}
	commit := w.roll(3) > 0
	w.repair(string(l.Payload))
	_ = pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		_, err := deadletter.RedriveIn(t.Context(), tx, l.ID, deadletter.Change{})
		if !commit {
			return errors.New("the process is dead")
		}
		return err
	})
}

// workOff is a redriver that looks at what is due.
func (w *world) workOff(ctx context.Context, instance *parking) {
	due, err := deadletter.Due(ctx, w.pool, w.consumer, 3)
	if err != nil {
		return
	}
	for _, queue := range due {
		_ = instance.redrive.RunQueue(ctx, queue)
	}
}

// editOne puts a copy in the place of a dead letter that can be read. In the ledger it is the
// message itself: the copy has its value, under an id that differs by a mark.
func (w *world) editOne(t *testing.T) {
	l, ok := w.pick(t.Context())
	if !ok || !l.Decoded || w.roll(2) > 0 {
		return
	}
	value := string(l.Payload) + "'"
	_, _ = w.letters.Edit(t.Context(), l.ID, deadletter.Edited{EventID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(value)), Payload: []byte(value)}, deadletter.Change{})
}

// What a queue's row says of it, where that is not so.
const wrongQueuesSQL = `
with head as (
    select key_id, (array_agg(state order by place))[1] as state from dead_letters
    where consumer = $1 and key_id is not null and state in ('dead', 'parked') group by key_id),
queue as (select key_id, run_at is not null as due from parked_keys where consumer = $1)
select coalesce(key_id::text || ' first ' || coalesce(head.state, 'none') || ', due ' || coalesce(queue.due::text, 'no row'), '')
from head full join queue using (key_id)
where head.state is null or queue.due is null or (head.state = 'parked') <> queue.due`

func (w *world) checkQueues(t *testing.T) {
	t.Helper()
	rows, err := w.pool.Query(t.Context(), wrongQueuesSQL, w.consumer)
	require.NoError(t, err)
	wrong, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Empty(t, wrong)
}

// discardOne discards a dead letter that can be read.
func (w *world) discardOne(t *testing.T) {
	l, ok := w.pick(t.Context())
	if !ok || !l.Decoded || w.roll(4) > 0 {
		return
	}
	if _, err := w.letters.Discard(t.Context(), l.ID, deadletter.Change{}); err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.discarded[strings.TrimRight(string(l.Payload), "'")] = true
	}
}

func (w *world) pick(ctx context.Context) (deadletter.Letter, bool) {
	rows, err := w.pool.Query(ctx, `select id from dead_letters where consumer = $1 and state = 'dead' order by id`, w.consumer)
	if err != nil {
		return deadletter.Letter{}, false
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(ids) == 0 {
		return deadletter.Letter{}, false
	}
	l, err := w.letters.Get(ctx, ids[w.roll(len(ids))])
	return l, err == nil
}

// finish repairs everything, delivers what is left and redrives what is dead.
func (w *world) finish(t *testing.T) {
	t.Helper()
	for value := range maps.Clone(w.refused) {
		w.repair(value)
	}
	for value := range maps.Clone(w.garbled) {
		w.repair(value)
	}
	for value := range maps.Clone(w.breaks) {
		w.repair(value)
	}
	for p := range w.logs {
		require.NoError(t, w.instances[w.owner[p]].Process(t.Context(), w.logs[p]), "all of it, once more")
	}
	for {
		l, ok := w.pick(t.Context())
		if !ok {
			break
		}
		redriven, err := w.letters.Redrive(t.Context(), l.ID, deadletter.Change{})
		if _, behind := errors.AsType[*deadletter.FirstError](err); behind {
			continue
		}
		require.NoError(t, err)
		require.NoError(t, w.instances[0].redrive.RunQueue(t.Context(), *redriven.KeyID))
	}
	rows, err := w.pool.Query(t.Context(), `select key_id from parked_keys where consumer = $1`, w.consumer)
	require.NoError(t, err)
	left, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	require.NoError(t, err)
	for _, queue := range left { // those of which a redrive was cut off
		require.NoError(t, w.instances[1].redrive.RunQueue(t.Context(), queue))
	}
}

func (w *world) check(t *testing.T) {
	t.Helper()
	for _, sql := range []string{
		`select count(*) from parked_keys where consumer = $1`,
		`select count(*) from dead_letters where consumer = $1 and state in ('dead', 'parked')`,
	} {
		var n int
		require.NoError(t, w.pool.QueryRow(t.Context(), sql, w.consumer).Scan(&n))
		require.Zero(t, n, sql)
	}
	rows, err := w.pool.Query(t.Context(), `select value from applied where consumer = $1 order by id`, w.consumer)
	require.NoError(t, err)
	applied, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	byKey := make(map[string][]string)
	for _, value := range applied {
		key := value[:strings.LastIndex(value, "/")]
		byKey[key] = append(byKey[key], strings.TrimRight(value, "'"))
	}
	want := make(map[string][]string)
	for _, log := range w.logs {
		for _, d := range log {
			if value := string(d.Value); !w.discarded[value] {
				key := value[:strings.LastIndex(value, "/")]
				want[key] = append(want[key], value)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		require.Equal(t, want[key], byKey[key], "what was applied of %s", key)
	}
}
