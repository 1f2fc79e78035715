// Command outbox-relay publishes the rows of outbox tables to Kafka: in order per key, at least
// once, from any number of Postgres databases.
//
//	outbox-relay              relay; settings come from the environment
//	outbox-relay status       show the databases; see --help for the other verbs
package main

import (
	"context"
	"io"

	"github.com/alecthomas/kong"

	"waybill.example/chassis/service"
	"waybill.example/outbox-relay/cli"
	"waybill.example/outbox-relay/internal/app"
	"waybill.example/outbox-relay/internal/ops"
	"waybill.example/outbox-relay/internal/topics"
)

const description = "Publish the rows of outbox tables to Kafka, and look after them. " +
	"RELAY_DATABASES says which: name=URL, separated by commas, semicolons or white space."

func main() {
	service.Main("outbox-relay", description, app.DefaultConfig(), app.New,
		kong.Embed(&cli.Commands{}), kong.BindSingletonProvider(session))
}

func session(ctx context.Context, out io.Writer, cleanup service.Cleanup) (*cli.Session, error) {
	s, err := cli.Open(ctx, out)
	if err == nil {
		s.Broker = broker
		cleanup(s.Close)
	}
	return s, err
}

func broker() (ops.Broker, error) { return topics.Load() }
