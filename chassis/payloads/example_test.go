package payloads_test

import (
	"log/slog"

	"waybill.example/chassis/config"
	"waybill.example/chassis/payloads"
	"waybill.example/sdk/outbox"
)

// A service takes its codec from its settings, PAYLOAD_KEYRING and the like.
func Example() {
	var settings struct{ Payloads payloads.Config }
	if err := config.Load(&settings); err != nil {
		return
	}
	p, err := payloads.New(settings.Payloads, nil, slog.Default())
	if err != nil {
		return
	}
	_ = outbox.Writer{Payloads: p.Codec} // and for an inbox.Processor
}
