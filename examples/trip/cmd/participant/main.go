// Command participant runs one of the four participants: the one that PARTICIPANT names. They are
// one program to save you three binaries; nothing but the name and the database distinguishes them.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"trip.example"
	"trip.example/bank"
	"trip.example/car"
	"trip.example/flight"
	"trip.example/hotel"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/kafka"
	"waybill.example/chassis/postgres"
	"waybill.example/chassis/service"
	"waybill.example/chassis/sweep"
	"waybill.example/chassis/telemetry"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/participant"
)

// business is what one participant does, where it listens and where it answers.
type business struct {
	step              participant.Step
	commands, answers string
}

func businesses() map[string]business {
	return map[string]business{
		"hotel":  {hotel.Step(), trip.TopicHotelCommands, trip.TopicHotel},
		"flight": {flight.Step(), trip.TopicFlightCommands, trip.TopicFlight},
		"car":    {car.Step(), trip.TopicCarCommands, trip.TopicCar},
		"bank":   {bank.Step(), trip.TopicBankCommands, trip.TopicBank},
	}
}

// remembered is how long it is known what was done for a saga: for longer than a trip can be
// cancelled.
const remembered = 90 * 24 * time.Hour

type settings struct {
	service.Config

	Postgres postgres.Config
	Kafka    kafka.Config
	Name     string `env:"PARTICIPANT,required"`
}

func main() {
	service.Main("trip-participant", "Carry out what sagas of trips ask for.", settings{Config: service.ListenOn("127.0.0.1:0")}, build)
}

func build(ctx context.Context, c settings, log *slog.Logger) (*service.App, error) {
	does, known := businesses()[c.Name]
	if !known {
		return nil, fmt.Errorf("PARTICIPANT is %q: it must be hotel, flight, car or bank", c.Name)
	}
	db, err := postgres.Open(ctx, c.Postgres, c.Name)
	if err != nil {
		return nil, err
	}
	app, err := wire(ctx, c, does, db, log)
	if err != nil {
		db.Close()
	}
	return app, err
}

func wire(ctx context.Context, c settings, does business, db *pgxpool.Pool, log *slog.Logger) (*service.App, error) {
	if err := postgres.AwaitSchema(ctx, db, log,
		postgres.Schema{Set: "outbox", Version: outbox.SchemaVersion},
		postgres.Schema{Set: "participant", Version: participant.SchemaVersion}); err != nil {
		return nil, err
	}
	metrics := telemetry.Metrics()
	handler, err := participant.New(participant.Config{
		Consumer: c.Name, DB: db, Topic: does.answers, Observe: telemetry.Inbox(metrics, c.Name), Log: log,
	}, does.step)
	if err != nil {
		return nil, err
	}
	consumer, err := kafka.NewConsumer(c.Kafka, kafka.ConsumerOptions{
		Group: c.Name, ClientID: telemetry.Name(c.Name), Topics: []string{does.commands},
		Classify: postgres.Classify, FailFast: postgres.FailFast, Positions: handler.Positions(),
	}, handler, log, metrics)
	if err != nil {
		return nil, err
	}
	server, err := httpserver.New(c.HTTP, httpserver.Options{
		Title: "Trip: " + c.Name, Version: "1", Log: log, Metrics: metrics,
		Checks: []httpserver.Check{
			{Name: "postgres", Required: true, Run: postgres.Check(db)},
			{Name: "kafka", Run: consumer.Check},
			{Name: "consumer", Required: true, Run: consumer.Ready},
			{Name: "dead letters", Required: true, Run: handler.Health().Check},
		},
	})
	if err != nil {
		return nil, err
	}
	app := service.NewApp(log)
	app.OnStop("postgres pool", db.Close)
	app.Add("sweeper", sweep.Loop("steps of sagas", log, func(ctx context.Context, limit int) (int, error) {
		return participant.Forget(ctx, db, time.Now().Add(-remembered), limit)
	}))
	app.Add("consumer", consumer.Run)
	app.Serve(server)
	return app, nil
}
