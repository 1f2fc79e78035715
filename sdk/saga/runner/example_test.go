package runner_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
)

// Trip is what the saga remembers.
type Trip struct {
	Hotel string `json:"hotel"`
}

// TripSaga reserves a room and confirms the trip.
func TripSaga() (*saga.Definition, error) {
	policy := saga.RetryPolicy{Timeout: 10 * time.Second, MaxAttempts: 4}
	s := saga.Define[Trip]("trip", 1)
	s.To("trip.commands.v1")
	s.StartOn("TripBooked", saga.From(func(t Trip) Trip { return t }))
	s.Step("hotel").Send("ReserveRoom", func(c saga.Call[Trip]) (any, error) { return c.Data, nil }).To("hotel.commands.v1").
		Success("RoomReserved").Failure("HotelFull", nil).Wait(policy, "the hotel did not answer").
		Undo("CancelRoom", func(c saga.Call[Trip]) (any, error) { return c.Data, nil }, "RoomCancelled", policy)
	s.Step("confirm").Send("ConfirmTrip", func(c saga.Call[Trip]) (any, error) { return c.Data, nil }).
		Success("TripConfirmed").RetryForever(policy).NoUndo("cancelling the trip takes its confirmation back")
	return s.Build()
}

// A service of its own runs the sagas. poll and commit stand for any Kafka client: what is polled
// next comes behind the batch, so a batch is processed until it is durable, and then committed.
func Example_runIt() {
	run := func(ctx context.Context, db *pgxpool.Pool, poll func(context.Context) []inbox.Delivery, commit func([]inbox.Delivery)) error {
		trip, err := TripSaga()
		if err != nil {
			return err
		}
		sagas, err := runner.New(ctx, runner.Config{DB: db, Consumer: "trips", Definitions: []*saga.Definition{trip}, Log: slog.Default()})
		if err != nil {
			return err
		}
		deadlines := make(chan error, 1)
		go func() { deadlines <- sagas.Run(ctx) }()
		for ctx.Err() == nil {
			batch := poll(ctx)
			if err := inbox.ProcessWithRetry(ctx, sagas, batch, slog.Default()); err != nil {
				return err // ctx has ended, or the database went back: begin again from sagas.Positions
			}
			commit(batch)
		}
		return <-deadlines
	}
	_ = run
}

// The service that books trips runs the saga itself. The trip, the saga and the first command exist
// together or not at all; the confirmation is an update in the transaction that handles the reply.
func Example_embedIt() {
	embed := func(ctx context.Context, db *pgxpool.Pool) (*runner.Runner, error) {
		trip, err := TripSaga()
		if err != nil {
			return nil, err
		}
		confirm := func(_ context.Context, tx *inbox.Tx, commands []saga.Command) (replies []saga.Message, err error) {
			ids := make([]string, len(commands))
			for i, c := range commands {
				ids[i] = c.Key
				reply, err := runner.Reply(c, "TripConfirmed", struct{}{})
				if err != nil {
					return nil, err
				}
				replies = append(replies, reply)
			}
			tx.Last.Queue("update trips set status = 'CONFIRMED' where id::text = any ($1)", ids)
			return replies, nil
		}
		return runner.New(ctx, runner.Config{
			DB: db, Consumer: "trips", Definitions: []*saga.Definition{trip},
			Local: map[string]runner.Local{"ConfirmTrip": confirm},
		})
	}
	book := func(ctx context.Context, db *pgxpool.Pool, sagas *runner.Runner, t Trip) error {
		return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
			var id int64
			if err := tx.QueryRow(ctx, "insert into trips (hotel, status) values ($1, 'PENDING') returning id", t.Hotel).Scan(&id); err != nil {
				return err
			}
			data, err := json.Marshal(t)
			if err != nil {
				return err
			}
			return sagas.Start(ctx, tx, saga.Message{Type: "TripBooked", Key: strconv.FormatInt(id, 10), Data: data})
		})
	}
	_, _ = embed, book
}
