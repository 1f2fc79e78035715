package relay_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/chassis/kafka"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/relay"
)

// neighbours returns two databases that one process relays to the same broker, by the same clients.
func neighbours(t *testing.T) (one, other *stage, options relay.Options) {
	t.Helper()
	one = newStage(t)
	other = &stage{db: pgtest.New(t, migrations.Outbox), broker: one.broker}
	config := kafka.Config{Brokers: []string{one.broker.Addr()}, SecurityProtocol: "PLAINTEXT"}
	return one, other, relay.Options{Clients: publish.NewClients(config, slog.New(slog.NewTextHandler(t.Output(), nil)))}
}

// A bad row of one database ends the producer that another one shares with it, once: from then on
// the first has its own.
func TestClients_ABadRowCostsItsNeighbourOneProducer(t *testing.T) {
	t.Parallel()
	bad, good, options := neighbours(t)
	bad.refusePoison(kerr.InvalidRecord)
	atFault, neighbour := bad.relay(t, options), good.relay(t, options)
	good.insertMany(t, 2, 2)
	bad.insert(t, "b1", "1")
	good.drained(t)
	bad.drained(t)

	bad.insert(t, "b2", "poison")
	await(t, func() bool { return bad.stuck(t) == 1 }, "the row to be stuck")
	await(t, func() bool { return neighbour.gauge(t, "producer_restarts_total") == 1 }, "the neighbour to take another producer")
	bad.insert(t, "b3", "poison")
	await(t, func() bool { return bad.stuck(t) == 2 }, "the row to be stuck")
	await(t, func() bool { return atFault.gauge(t, "producer_restarts_total") == 2 }, "its producer to end")
	good.exec(t, insertSQL, topic, "k1", []byte("3"))
	good.exec(t, insertSQL, topic, "k2", []byte("3"))
	good.drained(t)
	require.InDelta(t, 1, neighbour.gauge(t, "producer_restarts_total"), 0)
	require.Zero(t, good.stuck(t))
	values := good.values(t, 7)
	require.Equal(t, []string{"1"}, values["b1"])
	delete(values, "b1")
	requireCounted(t, values, 2, 3)
}

// Rows of two databases are in one request, which is refused for one of them. The other's, though
// it is the only one of its database, is not at fault.
func TestClients_ARowThatSharesARequestWithABadOneIsPublished(t *testing.T) {
	t.Parallel()
	bad, good, options := neighbours(t)
	bad.broker.CreateTopics(t, 1, "single.v1")
	bad.refusePoison(kerr.InvalidRecord)
	noProducerIDs := bad.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.CoordinatorNotAvailable, Count: -1})
	atFault, neighbour := bad.relay(t, options), good.relay(t, options)
	bad.exec(t, insertSQL, "single.v1", "b", []byte("poison"))
	good.exec(t, insertSQL, "single.v1", "g", []byte("1"))
	await(t, func() bool {
		return atFault.gauge(t, "in_flight_rows") == 1 && neighbour.gauge(t, "in_flight_rows") == 1
	}, "both rows to wait for a producer id")
	noProducerIDs.Remove()
	await(t, func() bool { return bad.stuck(t) == 1 }, "the row to be stuck")
	good.drained(t)
	require.Zero(t, good.stuck(t))
	require.Equal(t, map[string][]string{"g": {"1"}}, firsts(bad.broker.All(t, "single.v1")))
}
