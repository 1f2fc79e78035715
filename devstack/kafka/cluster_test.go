package kafka_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/devstack/broker"
	"waybill.example/devstack/kafka"
	"waybill.example/devstack/loopback"
	"waybill.example/devstack/process"
)

// A record that was acknowledged is on two nodes: one may be killed. While two are down none is
// acknowledged, and what was sent meanwhile goes out when they are back.
func TestCluster_TakesRecordsWithoutOneNodeAndNotWithoutTwo(t *testing.T) {
	t.Parallel()
	if os.Getenv("BROKER") != "kafka3" {
		t.Skip("set BROKER=kafka3: three JVMs, and 44 MB from Maven the first time")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	ports, err := loopback.FreePorts(3)
	require.NoError(t, err)
	nodes, addrs := make([]kafka.Node, 3), make([]string, 3)
	for i, port := range ports {
		nodes[i], addrs[i] = kafka.Node{Port: port}, loopback.Addr(port)
	}
	commands, err := kafka.Cluster(ctx, kafka.Config{Dir: t.TempDir(), Progress: os.Stderr}, nodes...)
	require.NoError(t, err)
	running := make([]*process.Process, 3)
	start := func(i int) {
		running[i], err = process.Start(commands[i])
		require.NoError(t, err)
		t.Cleanup(running[i].Kill)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.DefaultProduceTopic("orders.v1"), kgo.UnknownTopicRetries(-1))
	require.NoError(t, err)
	defer client.Close()
	for i := range commands {
		start(i)
	}
	for _, p := range running {
		require.NoError(t, p.AwaitReady(ctx, func(ctx context.Context) error { return allListed(ctx, client) }))
	}

	require.NoError(t, broker.CreateTopics(ctx, addrs[0]+","+addrs[1], 3, "orders.v1"))
	require.NoError(t, hasReplicas(ctx, client, "orders.v1", 3, "2"))
	running[0].Kill()
	require.NoError(t, client.ProduceSync(ctx, kgo.StringRecord("without one")).FirstErr())

	running[1].Kill()
	acknowledged := make(chan error, 1)
	client.Produce(ctx, kgo.StringRecord("without two"), func(_ *kgo.Record, err error) { acknowledged <- err })
	select {
	case err := <-acknowledged:
		t.Fatalf("a record was acknowledged by one node of three: %v", err)
	case <-time.After(5 * time.Second):
	}
	start(0)
	start(1)
	select {
	case err := <-acknowledged:
		require.NoError(t, err)
	case <-ctx.Done():
		t.Fatal("a record was not acknowledged after the nodes' return")
	}
}

// allListed returns an error unless three nodes take part.
func allListed(ctx context.Context, client *kgo.Client) error {
	response, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client)
	if err == nil && len(response.Brokers) != 3 {
		err = fmt.Errorf("%d nodes take part", len(response.Brokers))
	}
	return err
}

func hasReplicas(ctx context.Context, client *kgo.Client, topic string, replicas int, inSync string) error {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{{Topic: new(topic)}}
	metadata, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, p := range metadata.Topics[0].Partitions {
		if len(p.Replicas) != replicas {
			return fmt.Errorf("partition %d has replicas %v: %w", p.Partition, p.Replicas, kerr.ErrorForCode(p.ErrorCode))
		}
	}
	describe := kmsg.NewPtrDescribeConfigsRequest()
	describe.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"min.insync.replicas"}}}
	configs, err := describe.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if got := configs.Resources[0].Configs[0].Value; got == nil || *got != inSync {
		return fmt.Errorf("min.insync.replicas is not %s", inSync)
	}
	return nil
}

// Who has no Java reads how to get one, and drills skip.
func TestCluster_SaysWhatThisMachineLacks(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := kafka.Cluster(t.Context(), kafka.Config{Dir: t.TempDir(), Progress: os.Stderr}, kafka.Node{Port: 1})
	require.ErrorIs(t, err, kafka.ErrUnavailable)
	require.ErrorContains(t, err, "Java 17 or newer, which `make setup` installs")
}
