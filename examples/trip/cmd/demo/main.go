// Command demo books three trips on a system of its own: a Postgres, a broker, the relay, the
// orchestrator and four participants, all on this machine and gone at the end. It prints what
// became of each trip, step by step, and fails if that is not what it should be.
//
//	go run ./cmd/demo
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"trip.example"
	"trip.example/desk"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
)

// booking is a trip, and how it ends.
type booking struct {
	what string
	wish trip.Trip
	ends string
}

func bookings() []booking {
	return []booking{
		{"a trip with a car", trip.Trip{Traveller: "ada", City: "Lisbon", Nights: 3, Car: "small", Card: "4242", Cents: 90_000}, "BOOKED"},
		{"a trip without a car", trip.Trip{Traveller: "grace", City: "Lisbon", Nights: 1, Card: "4242", Cents: 40_000}, "BOOKED"},
		{"a trip that cannot be paid", trip.Trip{Traveller: "alan", City: "Lisbon", Nights: 7, Car: "small", Card: "0001", Cents: 150_000}, "CANCELLED"},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "demo:", err) // nothing is left to do where it fails
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	system, err := start(ctx)
	defer func() { err = system.stop(ctx, err) }()
	if err != nil {
		return err
	}
	db, err := pgxpool.New(ctx, system.databases["desk"])
	if err != nil {
		return err
	}
	defer db.Close()
	ids := make([]string, 0, 3)
	for _, b := range bookings() {
		id, err := desk.Place(ctx, db, b.wish)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	return system.watch(ctx, ids)
}

// watch prints what becomes of the trips.
func (s *system) watch(ctx context.Context, ids []string) error {
	definition, err := trip.Saga()
	if err != nil {
		return err
	}
	registry, err := saga.NewRegistry(definition)
	if err != nil {
		return err
	}
	db, err := pgxpool.New(ctx, s.databases["orchestrator"])
	if err != nil {
		return err
	}
	defer db.Close()
	sagas := inspect.New(db, registry)
	for i, b := range bookings() {
		state, lines, err := s.await(ctx, sagas, ids[i])
		if err != nil {
			return fmt.Errorf("trip %s: %w", ids[i], err)
		}
		end := definition.StateName(state.Phase)
		printTimeline(os.Stdout, "trip "+ids[i]+", "+b.what+": "+end, lines)
		if end != b.ends {
			return fmt.Errorf("trip %s (%s) ended as %s, not as %s", ids[i], b.what, end, b.ends)
		}
	}
	return nil
}

// await looks at a saga until it has ended.
func (s *system) await(ctx context.Context, sagas *inspect.Inspector, id string) (saga.State, []inspect.Line, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		state, lines, err := sagas.Get(ctx, saga.Ref{Definition: "trip", ID: id})
		if err == nil && state.Phase.Ended() {
			return state, lines, nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return state, lines, fmt.Errorf("it has not ended: %w", context.Cause(ctx))
		case name := <-s.ended:
			return state, lines, fmt.Errorf("%s has ended", name)
		}
	}
}
