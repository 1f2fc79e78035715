package console_test

import (
	"log/slog"
	"net/http"

	"waybill.example/chassis/admin"
	"waybill.example/orchestrator/console"
)

// The console below a path of another service, which serves the API of sagas too.
func ExampleNew() {
	mount := func(mux *http.ServeMux, api http.Handler, tokens admin.Tokens) error {
		pages, err := console.New(console.Config{
			Prefix: "/console", API: api, Tokens: tokens, Log: slog.Default(),
			Relay: console.Service{URL: "http://127.0.0.1:8083"},
		})
		if err != nil {
			return err
		}
		mux.Handle("/console/", pages)
		return nil
	}
	_ = mount
}
