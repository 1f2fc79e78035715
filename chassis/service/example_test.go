package service_test

import (
	"context"
	"log/slog"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/service"
	"waybill.example/chassis/telemetry"
)

// Settings is everything that can be set of the service.
type Settings struct {
	service.Config

	Greeting string `env:"GREETING" envDefault:"hello"`
}

// build wires the service; internal/app.New of a real one.
func build(_ context.Context, c Settings, log *slog.Logger) (*service.App, error) {
	server, err := httpserver.New(c.HTTP, httpserver.Options{
		Title: "Greeter", Version: "1", Log: log, Metrics: telemetry.Metrics(),
	})
	if err != nil {
		return nil, err
	}
	app := service.NewApp(log)
	app.Serve(server)
	return app, nil
}

func ExampleMain() {
	main := func() {
		service.Main("greeter", "Greet.", Settings{Config: service.ListenOn("127.0.0.1:8090")}, build)
	}
	_ = main
}
