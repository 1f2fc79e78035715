// Package broker is an embedded Kafka-protocol broker for development and
// tests: one node, no JVM, no container, on the loopback interface. It is
// franz-go's kfake, which stores, replicates nothing, and speaks enough of the
// protocol for librdkafka's idempotent producer and consumer groups.
package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Partitions is how many partitions a topic gets when nothing else is said.
const Partitions = 3

// Config says what broker to open.
type Config struct {
	// Port on 127.0.0.1; zero picks a free one.
	Port int
	// Advertise is the host:port that clients are told to connect to, if there
	// is a proxy in front; "" is the broker's own.
	Advertise string
	// Dir keeps the topics, the messages and the groups' offsets, and gives
	// them back when the broker is opened on it again; "" keeps nothing.
	Dir string
	// Topics exist from the first moment.
	Topics []string
	// Partitions are how many each of them is created with; zero is [Partitions].
	Partitions int32
	// Log gets the broker's warnings and errors; nil drops them.
	Log *slog.Logger
}

// Broker is a running broker.
type Broker struct {
	*kfake.Cluster
	addr       string
	waiting    *waiting
	leaderless *leaderless
}

// Open starts a broker, which serves until Close. Topics are made by
// CreateTopics only, never because somebody mentions them.
//
// With a Dir, each batch is handed to the operating system before it is
// acknowledged, so it outlives kill -9 of the broker but not a power cut: what
// an Apache Kafka node does with its default settings. kfake could fsync each
// batch too (SyncWrites), but a development broker that is safer than the real
// one, and slower, would teach the wrong thing.
func Open(ctx context.Context, cfg Config) (*Broker, error) {
	waiting := newWaiting()
	listen := func(network, address string) (net.Listener, error) { return cfg.listen(network, address, waiting) }
	opts := []kfake.Opt{
		kfake.Ports(cfg.Port),
		kfake.DefaultNumPartitions(Partitions),
		kfake.SeedTopics(cmp.Or(cfg.Partitions, Partitions), cfg.Topics...), // looked at on an empty Dir only
		kfake.ClusterID("waybill-devstack"),
		// Brokers' own lower limit is 6 s; tests of lost consumers cannot wait.
		kfake.GroupMinSessionTimeout(100 * time.Millisecond),
		kfake.ListenFn(listen),
	}
	if cfg.Dir != "" {
		opts = append(opts, kfake.DataDir(cfg.Dir))
	}
	if cfg.Log != nil {
		opts = append(opts, kfake.WithLogger(logger{cfg.Log}))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("open the embedded broker: %w", err)
	}
	b := &Broker{Cluster: cluster, addr: cluster.ListenAddrs()[0], waiting: waiting}
	b.honourMinInSync()
	b.honourLeaderless()
	if err := waiting.run(ctx, b.addr); err != nil {
		cluster.Close()
		return nil, fmt.Errorf("open the embedded broker: %w", err)
	}
	if err := b.createMissing(ctx, cfg); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Close ends the broker.
func (b *Broker) Close() {
	b.waiting.close()
	b.leaderless.close()
	b.Cluster.Close()
}

// createMissing makes topics that were not thought of when the Dir was new.
func (b *Broker) createMissing(ctx context.Context, cfg Config) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return CreateTopics(ctx, b.addr, cmp.Or(cfg.Partitions, Partitions), cfg.Topics...)
}

// Addr returns host:port, as clients want it for their bootstrap servers.
func (b *Broker) Addr() string { return b.addr }

// CreateTopics makes the topics that do not exist yet, on any Kafka. Several addresses are
// separated by commas.
func CreateTopics(ctx context.Context, addrs string, partitions int32, topics ...string) error {
	if len(topics) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addrs, ",")...))
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	defer client.Close()
	request := kmsg.NewPtrCreateTopicsRequest()
	for _, name := range topics {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic = name
		topic.NumPartitions = partitions
		topic.ReplicationFactor = -1 // what the cluster is set to
		request.Topics = append(request.Topics, topic)
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	var errs []error
	for _, topic := range response.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			errs = append(errs, fmt.Errorf("create topic %s: %w", topic.Topic, err))
		}
	}
	return errors.Join(errs...)
}

// logger hands kfake's log to slog.
type logger struct{ to *slog.Logger }

func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	switch level {
	case kfake.LogLevelError:
		l.to.Error("kfake", "message", message)
	case kfake.LogLevelWarn:
		l.to.Warn("kfake", "message", message)
	default:
		l.to.Debug("kfake", "message", message)
	}
}
