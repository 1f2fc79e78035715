// Package kafkatest gives each test a Kafka-protocol broker of its own, inside
// the test binary, over TCP. The helpers to put messages in and to look at them
// are built on franz-go, so that what is tested (librdkafka) and what checks it
// have no code in common.
package kafkatest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/devstack/broker"
	"waybill.example/devstack/loopback"
)

// waitTimeout bounds every wait in this package.
const waitTimeout = 2 * time.Minute

// Broker is one test's own broker. Stop and Start must not be called at the
// same time; all else may.
type Broker struct {
	config  broker.Config
	running *broker.Broker // nil when stopped
}

// Start runs a broker with these topics, of three partitions each, until the
// test ends. No other topic comes into being by itself.
func Start(t testing.TB, topics ...string) *Broker {
	t.Helper()
	port, err := loopback.FreePort()
	require.NoError(t, err)
	b := &Broker{config: broker.Config{Port: port, Dir: t.TempDir()}}
	b.Start(t)
	t.Cleanup(b.Stop)
	b.CreateTopics(t, broker.Partitions, topics...)
	return b
}

// Addr returns host:port, for KAFKA_BROKERS. It stays the same over restarts.
func (b *Broker) Addr() string { return loopback.Addr(b.config.Port) }

// CreateTopics makes more topics, with any number of partitions.
func (b *Broker) CreateTopics(t testing.TB, partitions int32, topics ...string) {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	require.NoError(t, broker.CreateTopics(ctx, b.Addr(), partitions, topics...))
}

// Stop takes the broker away: connections are cut, new ones refused. What was
// acknowledged is kept.
func (b *Broker) Stop() {
	if b.running != nil {
		b.running.Close()
		b.running = nil
	}
}

// Start brings the broker back after Stop, on the same port with the same data.
func (b *Broker) Start(t testing.TB) {
	t.Helper()
	var err error
	b.running, err = broker.Open(t.Context(), b.config)
	require.NoError(t, err)
}

// Fault has the broker answer requests with an error in place of doing them;
// see kfake.Fault for what can be chosen. The handle removes the fault, counts
// its hits and waits for them. A restart forgets all faults.
func (b *Broker) Fault(fault kfake.Fault) *kfake.FaultHandle { return b.running.Fault(fault) }

// FailProduce refuses what is produced to a topic until the fault is removed.
func (b *Broker) FailProduce(topic string, err *kerr.Error) *kfake.FaultHandle {
	return b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: err, Count: -1})
}

func waiting(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), waitTimeout)
}
