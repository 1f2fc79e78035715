// Command orchestrator runs the saga of a trip. It is Waybill's orchestrator with another
// definition: settings, HTTP API, metrics and health are the same (docs/sagas.md).
package main

import (
	"context"
	"log/slog"

	"trip.example"

	"waybill.example/chassis/service"
	"waybill.example/orchestrator/app"
	"waybill.example/sdk/saga"
)

func main() {
	service.Main("trip-orchestrator", "Run the sagas of trips.", app.DefaultConfig(), build)
}

func build(ctx context.Context, settings app.Config, log *slog.Logger) (*service.App, error) {
	definition, err := trip.Saga()
	if err != nil {
		return nil, err
	}
	return app.New(ctx, settings, app.Sagas{
		Definitions: []*saga.Definition{definition},
		// What starts a trip, and what the participants answer.
		Topics: []string{trip.TopicTrips, trip.TopicHotel, trip.TopicFlight, trip.TopicCar, trip.TopicBank},
	}, log)
}
