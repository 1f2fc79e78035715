package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill/orchestrator/saga"
	"waybill/outbox"
)

// dueSQL takes sagas whose deadline has passed, the longest overdue first,
// and leaves those that another orchestrator, or a batch of messages, has in
// hand. It reads the index sagas_open from its start and stops at the limit.
// A saga whose definition is not registered here is for an orchestrator that
// knows it; only when nobody took it for a while is it looked at, to be parked.
const dueSQL = `
select ` + columns + `
from sagas
where deadline <= $1
  and (exists (select from unnest($2::text[], $3::int[]) as known (d, v) where d = definition and v = version)
       or phase <> 'PARKED' and deadline <= $4)
order by deadline limit $5
for update skip locked`

// unclaimed is how long a saga of an unknown definition may be overdue before it is parked.
const unclaimed = time.Minute

// ApplyDue acts on at most limit deadlines that have passed, in one
// transaction, and returns how many sagas it took.
func (s *Store) ApplyDue(ctx context.Context, now time.Time, limit int) (int, error) {
	taken := 0
	err := pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		names, versions := s.known()
		rows, err := tx.Query(ctx, dueSQL, now, names, versions, now.Add(-unclaimed), limit)
		if err != nil {
			return err
		}
		due, err := states(rows)
		if err != nil {
			return err
		}
		taken = len(due)
		return s.applyDue(ctx, tx, due, now)
	})
	if err != nil {
		return 0, fmt.Errorf("act on deadlines: %w", err)
	}
	return taken, nil
}

func (s *Store) applyDue(ctx context.Context, tx pgx.Tx, due []saga.State, now time.Time) error {
	loaded := make(Loaded, len(due))
	for _, state := range due {
		loaded[state.ID] = state
	}
	w := s.work(loaded)
	var refused []string
	for _, state := range due {
		if err := w.apply(Event{Saga: state.ID, Input: saga.Due{}}, now); err != nil {
			s.Log.Error("deadline cannot be acted on", "saga", state.ID, "definition", state.Definition, "error", err)
			refused = append(refused, state.ID)
		}
	}
	var writes pgx.Batch
	if len(refused) > 0 {
		writes.Queue(postponeSQL, refused, now.Add(unclaimed))
	}
	if err := w.save(&writes); err != nil {
		return err
	}
	if err := outbox.Queue(&writes, w.messages...); err != nil {
		return err
	}
	return tx.SendBatch(ctx, &writes).Close()
}

// A definition that cannot make a command must not hold up the other sagas.
const postponeSQL = `update sagas set deadline = $2 where id = any ($1)`

// Those parked sagas that wait for nothing else are found by no deadline.
const wakeSQL = `
update sagas set deadline = $1
where phase = 'PARKED' and deadline = 'infinity'
  and exists (select from unnest($2::text[], $3::int[]) as known (d, v) where d = definition and v = version)`

// WakeParked makes the parked sagas whose definition is registered here due,
// so that they go on, and returns how many.
func (s *Store) WakeParked(ctx context.Context, now time.Time) (int, error) {
	names, versions := s.known()
	tag, err := s.Pool.Exec(ctx, wakeSQL, now, names, versions)
	if err != nil {
		return 0, fmt.Errorf("wake parked sagas: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// known are the definitions that are registered here, as two arrays.
func (s *Store) known() (names []string, versions []int32) {
	for _, d := range s.Registry.Definitions() {
		names, versions = append(names, d.Name()), append(versions, int32(d.Version()))
	}
	return names, versions
}
