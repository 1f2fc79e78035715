package httpserver_test

import (
	"context"
	"log/slog"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"waybill.example/chassis/httpserver"
)

func Example() {
	serve := func(ctx context.Context) error {
		s, err := httpserver.New(httpserver.Config{Addr: "127.0.0.1:8080"}, httpserver.Options{
			Title: "Greetings", Version: "1", Log: slog.Default(), Metrics: prometheus.NewRegistry(),
		})
		if err != nil {
			return err
		}
		type greeting struct{ Body struct{ Text string } }
		huma.Get(s.API, "/hello/{name}", func(_ context.Context, in *struct {
			Name string `path:"name" maxLength:"20"`
		},
		) (*greeting, error) {
			g := &greeting{}
			g.Body.Text = "hello " + in.Name
			return g, nil
		})
		return s.Run(ctx)
	}
	_ = serve
}
