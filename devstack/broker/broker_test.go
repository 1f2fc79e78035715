package broker_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"waybill.example/devstack/broker"
	"waybill.example/devstack/loopback"
	"waybill.example/devstack/process"
)

// TestMain doubles as the broker process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("WAYBILL_TEST_BROKER_DIR"); dir != "" {
		port, err := strconv.Atoi(os.Getenv("WAYBILL_TEST_BROKER_PORT"))
		if err != nil {
			panic(err)
		}
		if _, err := broker.Open(context.Background(), broker.Config{Port: port, Dir: dir, Topics: []string{"orders.v1"}}); err != nil {
			panic(err)
		}
		select {}
	}
	goleak.VerifyTestMain(m)
}

func startProcess(t *testing.T, dir string, port int) *process.Process {
	t.Helper()
	p, err := process.Start(process.Command{
		Name: "broker",
		Path: os.Args[0],
		Env:  append(os.Environ(), "WAYBILL_TEST_BROKER_DIR="+dir, fmt.Sprintf("WAYBILL_TEST_BROKER_PORT=%d", port)),
	})
	require.NoError(t, err)
	t.Cleanup(p.Kill)
	client, err := kgo.NewClient(kgo.SeedBrokers(loopback.Addr(port)))
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, p.AwaitReady(ctx, client.Ping))
	return p
}

// A broker that is killed with SIGKILL, again and again, while a producer
// writes as fast as it can, comes back with every record that it had
// acknowledged, in the order in which they were sent.
func TestAcknowledgedRecordsOutliveSIGKILL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	port, err := loopback.FreePort()
	require.NoError(t, err)
	running := startProcess(t, dir, port)

	producer, err := kgo.NewClient(kgo.SeedBrokers(loopback.Addr(port)), kgo.DefaultProduceTopic("orders.v1"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	require.NoError(t, err)
	defer producer.Close()
	enough := make(chan struct{})
	var acknowledged atomic.Int64
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-enough:
				return
			default:
			}
			record := &kgo.Record{Value: []byte(strconv.Itoa(n))}
			if err := producer.ProduceSync(t.Context(), record).FirstErr(); err != nil {
				t.Errorf("record %d: %v", n, err)
			}
			acknowledged.Add(1)
		}
	})
	for range 3 {
		traffic := acknowledged.Load() + 50
		require.Eventually(t, func() bool { return acknowledged.Load() >= traffic }, time.Minute, time.Millisecond)
		require.NoError(t, running.Signal(syscall.SIGKILL))
		<-running.Done()
		running = startProcess(t, dir, port)
	}
	close(enough)
	writer.Wait()
	sent := int(acknowledged.Load())

	next := 0
	for _, value := range readAll(t, port, sent) {
		n, err := strconv.Atoi(value)
		require.NoError(t, err)
		require.LessOrEqual(t, n, next, "record %d is missing", next)
		if n == next { // a record that was sent again after its ack was lost comes twice
			next++
		}
	}
	require.Equal(t, sent, next)
}

// readAll reads partition 0 until the record with the last number has come.
func readAll(t *testing.T, port, sent int) (values []string) {
	t.Helper()
	consumer, err := kgo.NewClient(kgo.SeedBrokers(loopback.Addr(port)),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"orders.v1": {0: kgo.NewOffset().AtStart()}}))
	require.NoError(t, err)
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for len(values) == 0 || values[len(values)-1] != strconv.Itoa(sent-1) {
		consumer.PollFetches(ctx).EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
		require.NoError(t, ctx.Err())
	}
	return values
}

func TestTopicsAreAddedToAnExistingDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, topics := range [][]string{{"one"}, {"one", "two"}} {
		b, err := broker.Open(t.Context(), broker.Config{Dir: dir, Topics: topics})
		require.NoError(t, err)
		client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
		require.NoError(t, err)
		for _, topic := range topics {
			require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr())
		}
		client.Close()
		b.Close()
	}
}

func TestPortInUseIsAnError(t *testing.T) {
	t.Parallel()
	first, err := broker.Open(t.Context(), broker.Config{})
	require.NoError(t, err)
	defer first.Close()
	var port int
	_, err = fmt.Sscanf(first.Addr(), "127.0.0.1:%d", &port)
	require.NoError(t, err)
	_, err = broker.Open(t.Context(), broker.Config{Port: port})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
}

// A client that finds the broker is sent to the proxy in front of it.
func TestTheBrokerAdvertisesTheProxyInFrontOfIt(t *testing.T) {
	t.Parallel()
	b, err := broker.Open(t.Context(), broker.Config{Advertise: "127.0.0.1:12345"})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	require.Equal(t, "127.0.0.1:12345", b.Addr())
}

// A consumer that is killed while it joins its group must not keep the group
// from those that live.
func TestAMemberThatDiedWhileItJoinedIsForgotten(t *testing.T) {
	t.Parallel()
	b, err := broker.Open(t.Context(), broker.Config{Topics: []string{"orders.v1"}})
	require.NoError(t, err)
	t.Cleanup(b.Close)

	first := newMember(t, b)
	require.Eventually(t, first.join, time.Minute, time.Millisecond, "alone in the group")
	// Several, because whether the broker notices is a matter of chance.
	var joining sync.WaitGroup
	var dying []*member
	for range 10 {
		m := newMember(t, b)
		dying = append(dying, m)
		joining.Go(func() { m.join() })
	}
	for _, m := range dying {
		require.Eventually(t, m.knocked.Load, time.Minute, time.Millisecond)
	}
	<-time.After(100 * time.Millisecond) // their second requests wait for the first member now
	for _, m := range dying {
		m.client.Close()
	}
	joining.Wait()

	// The first sends no heartbeat and is dropped after its session: the group then consists of the
	// dead.
	<-time.After(time.Second)
	third := newMember(t, b)
	require.Eventually(t, third.join, time.Minute, 10*time.Millisecond)
}

type member struct {
	client  *kgo.Client
	id      string
	knocked atomic.Bool // it has an id
}

func newMember(t *testing.T, b *broker.Broker) *member {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.RetryTimeout(20*time.Second))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &member{client: client}
}

// join reports whether the member is in the group.
func (m *member) join() bool {
	request := kmsg.NewPtrJoinGroupRequest()
	request.Group, request.MemberID, request.ProtocolType = "g", m.id, "consumer"
	request.SessionTimeoutMillis, request.RebalanceTimeoutMillis = 500, 300_000
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name = "range"
	request.Protocols = append(request.Protocols, protocol)
	response, err := request.RequestWith(context.Background(), m.client)
	if err != nil {
		return false
	}
	if m.id == "" {
		m.id = response.MemberID
		m.knocked.Store(true)
		return m.join()
	}
	return response.ErrorCode == 0
}

// A web page can have a browser send a request to any port of the machine it runs on. "GET " is a
// length of a gigabyte to a broker that does not look.
func TestBroker_SurvivesAnHTTPRequest(t *testing.T) {
	t.Parallel()
	b, err := broker.Open(t.Context(), broker.Config{Dir: t.TempDir(), Topics: []string{"orders.v1"}})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 3 {
		c, err := net.Dial("tcp", b.Addr())
		require.NoError(t, err)
		_, err = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
		_, err = c.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection is closed at once")
		c.Close()
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(500<<20))
}

// A topic whose min.insync.replicas is above the one replica that there is takes nothing, and
// others do.
func TestBroker_ATopicWithTooFewReplicasTakesNothing(t *testing.T) {
	t.Parallel()
	b, err := broker.Open(t.Context(), broker.Config{Topics: []string{"scarce.v1", "other.v1"}})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.RecordRetries(1), kgo.MetadataMinAge(10*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	produce := func(topic string) error {
		return client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr()
	}
	set := func(op kmsg.IncrementalAlterConfigOp, value *string, only bool) {
		setting := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		setting.Name, setting.Op, setting.Value = "min.insync.replicas", op, value
		resource := kmsg.NewIncrementalAlterConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, "scarce.v1"
		resource.Configs = append(resource.Configs, setting)
		request := kmsg.NewPtrIncrementalAlterConfigsRequest()
		request.ValidateOnly = only
		request.Resources = append(request.Resources, resource)
		response, err := request.RequestWith(t.Context(), client)
		require.NoError(t, err)
		require.NoError(t, kerr.ErrorForCode(response.Resources[0].ErrorCode))
	}
	require.NoError(t, produce("scarce.v1"))
	set(kmsg.IncrementalAlterConfigOpSet, new("2"), true)
	require.NoError(t, produce("scarce.v1"), "it was only asked whether it could be set")
	for range 2 {
		set(kmsg.IncrementalAlterConfigOpSet, new("2"), false)
		require.ErrorIs(t, produce("scarce.v1"), kerr.NotEnoughReplicas)
		require.NoError(t, produce("other.v1"))
		set(kmsg.IncrementalAlterConfigOpSet, new("1"), false)
		require.NoError(t, produce("scarce.v1"))
	}
	set(kmsg.IncrementalAlterConfigOpSet, new("2"), false)
	require.ErrorIs(t, produce("scarce.v1"), kerr.NotEnoughReplicas)
	set(kmsg.IncrementalAlterConfigOpDelete, nil, false)
	require.NoError(t, produce("scarce.v1"))
}

func TestBroker_APartitionWithoutALeaderTakesNothing(t *testing.T) {
	t.Parallel()
	b, err := broker.Open(t.Context(), broker.Config{Topics: []string{"orphan.v1", "other.v1"}})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RecordDeliveryTimeout(5*time.Second), kgo.MetadataMinAge(50*time.Millisecond), kgo.UnknownTopicRetries(-1))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	set := func(op kmsg.IncrementalAlterConfigOp, value *string) int16 {
		setting := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		setting.Name, setting.Op, setting.Value = broker.LeaderlessPartitions, op, value
		resource := kmsg.NewIncrementalAlterConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, "orphan.v1"
		resource.Configs = append(resource.Configs, setting)
		request := kmsg.NewPtrIncrementalAlterConfigsRequest()
		request.Resources = append(request.Resources, resource)
		response, err := request.RequestWith(t.Context(), client)
		require.NoError(t, err)
		return response.Resources[0].ErrorCode
	}
	produce := func(topic string, partition int32) error {
		return client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: []byte("x")}).FirstErr()
	}
	leader := func(partition int32) int32 {
		request := kmsg.NewPtrMetadataRequest()
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = new("orphan.v1")
		request.Topics = append(request.Topics, topic)
		response, err := request.RequestWith(t.Context(), client)
		require.NoError(t, err)
		for _, p := range response.Topics[0].Partitions {
			if p.Partition == partition {
				return p.Leader
			}
		}
		return -2
	}
	require.NoError(t, produce("orphan.v1", 1))
	require.Equal(t, kerr.InvalidConfig.Code, set(kmsg.IncrementalAlterConfigOpSet, new("first")))
	require.Zero(t, set(kmsg.IncrementalAlterConfigOpSet, new("1")))
	require.EqualValues(t, -1, leader(1))
	require.EqualValues(t, 0, leader(0))
	require.Error(t, produce("orphan.v1", 1))
	require.NoError(t, produce("orphan.v1", 0))
	require.NoError(t, produce("other.v1", 1))
	require.Zero(t, set(kmsg.IncrementalAlterConfigOpDelete, nil))
	require.EqualValues(t, 0, leader(1))
	require.NoError(t, produce("orphan.v1", 1))
}
