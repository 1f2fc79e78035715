package kafka_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"waybill.example/devstack/broker"
	"waybill.example/devstack/kafka"
	"waybill.example/devstack/loopback"
	"waybill.example/devstack/process"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNodeKeepsItsRecordsThroughSIGKILL(t *testing.T) {
	t.Parallel()
	if os.Getenv("BROKER") != "kafka" {
		t.Skip("set BROKER=kafka: a JVM, and 44 MB from Maven the first time")
	}
	port, err := loopback.FreePort()
	require.NoError(t, err)
	command, err := kafka.Prepare(t.Context(), kafka.Config{Dir: t.TempDir(), Port: port, Progress: os.Stderr})
	require.NoError(t, err)
	client, err := kgo.NewClient(kgo.SeedBrokers(loopback.Addr(port)), kgo.DefaultProduceTopic("orders.v1"))
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	for range 2 {
		p, err := process.Start(command)
		require.NoError(t, err)
		t.Cleanup(p.Kill)
		require.NoError(t, p.AwaitReady(ctx, client.Ping))
		require.NoError(t, broker.CreateTopics(ctx, loopback.Addr(port), 1, "orders.v1"))
		require.NoError(t, client.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr())
		p.Kill()
	}

	p, err := process.Start(command)
	require.NoError(t, err)
	t.Cleanup(p.Kill)
	require.NoError(t, p.AwaitReady(ctx, client.Ping))
	consumer, err := kgo.NewClient(kgo.SeedBrokers(loopback.Addr(port)), kgo.ConsumeTopics("orders.v1"))
	require.NoError(t, err)
	defer consumer.Close()
	var records []*kgo.Record
	for len(records) < 2 {
		records = append(records, consumer.PollFetches(ctx).Records()...)
		require.NoError(t, ctx.Err())
	}
	require.Len(t, records, 2)
	require.NoError(t, p.Stop(ctx))
}
