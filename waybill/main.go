// Command waybill is what the engineer on call works with: one command for the sagas, the outboxes,
// the dead letters and the jobs of all services.
//
//	waybill explain 17        why an order is where it is, and what to do
//	waybill saga list         the sagas; the verbs are those of `orchestrator saga`
//	waybill relay status      the outboxes; the verbs are those of outbox-relay
//	waybill audit-log list    who changed what, and whether the record of it is whole
//
// It asks the services over HTTP, at the addresses that ORDERS_URL, INVENTORY_URL, ORCHESTRATOR_URL
// and RELAY_URL name, with the tokens of ORDERS_TOKEN and so on. Only the verbs of `relay` go to
// the databases themselves (RELAY_DATABASES), since they must work while no relay runs.
//
// # Exit status
//
//	0  done
//	1  failed, refused or not found; the last line on stderr says why
//	2  the command line or a setting is invalid
package main

import (
	"context"
	"io"

	"github.com/alecthomas/kong"

	"waybill.example/chassis/service"
	stock "waybill.example/inventory/cli"
	saga "waybill.example/orchestrator/cli"
	relay "waybill.example/outbox-relay/cli"
)

const description = "Look after Waybill: find, explain and repair, across all services."

// verbs is the whole command. Each verb is defined once, in a file of its own or in the service
// that it is about.
type verbs struct {
	Explain explain        `cmd:"" help:"Say why an order is where it is, and what stands in the way."`
	Saga    saga.Saga      `cmd:"" help:"Look at sagas, and intervene."`
	Find    find           `cmd:"" help:"Say what an id, a key or a place in Kafka is, and where it stands."`
	Latency latency        `cmd:"" help:"Show where the time of recent orders went, by hop."`
	Jobs    jobsCommand    `cmd:"" help:"Look after jobs: what was asked for of many things at once."`
	Relay   relay.Commands `cmd:"" help:"Look after the outboxes of RELAY_DATABASES."`
	Stock   stock.Stock    `cmd:"" help:"Look at the stock, and change it."`

	Dlq      dlqVerbs      `cmd:"" help:"Look after messages that a service could not apply."`
	AuditLog auditLogVerbs `cmd:"" help:"Read and verify who changed what, in all databases."`

	Notifications notificationVerbs `cmd:"" help:"See what the webhook was sent, and try it."`
}

func main() {
	service.Command("waybill", description, &verbs{},
		kong.BindToProvider(newTerminal), kong.BindSingletonProvider(outboxes))
}

func newTerminal(ctx context.Context, out io.Writer) saga.Terminal {
	return saga.Terminal{Context: ctx, Out: out}
}

// outboxes opens the databases for the verbs of the relay.
func outboxes(ctx context.Context, out io.Writer, cleanup service.Cleanup) (*relay.Session, error) {
	s, err := relay.Open(ctx, out)
	if err == nil {
		cleanup(s.Close)
	}
	return s, err
}
