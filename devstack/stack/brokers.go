package stack

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/contracts"
	"waybill.example/devstack/kafka"
	"waybill.example/devstack/loopback"
	"waybill.example/devstack/process"
)

// BrokerFlag is a flag of the commands that start a stack.
type BrokerFlag struct {
	Broker string `enum:"embedded,kafka,kafka3" default:"embedded" env:"BROKER" help:"The embedded broker, or a real Apache Kafka of one node (kafka) or of three (kafka3), which needs Java 17 and Maven."`
}

// KafkaNodes is how many nodes of an Apache Kafka the flag asks for: none with the embedded broker.
func (f BrokerFlag) KafkaNodes() int { return map[string]int{"kafka": 1, "kafka3": 3}[f.Broker] }

// realKafka is the directory of Apache Kafka, in place of the embedded broker's.
const realKafka = "kafka"

// brokerNames are the brokers of a stack: one, or broker-1, broker-2 and so on, by their node ids.
func brokerNames(kafkaNodes int) []string {
	if kafkaNodes <= 1 {
		return []string{Broker}
	}
	names := make([]string, kafkaNodes)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", Broker, i+1)
	}
	return names
}

// isOf says whether a process is the one of a name, or one of several that the name stands for, as
// "broker" does for broker-1.
func isOf(name, process string) bool {
	return process == name || strings.HasPrefix(process, name+"-")
}

// Brokers returns where the brokers are, as KAFKA_BROKERS lists them.
func (s State) Brokers() string {
	var addrs []string
	for _, p := range s.Processes {
		if isOf(Broker, p.Name) {
			addrs = append(addrs, p.Addr)
		}
	}
	return strings.Join(addrs, ",")
}

func (s *Stack) partitions() int32 { return cmp.Or(s.cfg.Partitions, contracts.DefaultPartitions) }

// brokers plans the brokers that are ours, and returns where the services reach them.
func (s *Stack) brokers(ctx context.Context, bin string, ports map[string]int) (units []*unit, addrs string, err error) {
	names := brokerNames(s.cfg.KafkaNodes)
	var fronts []string
	for _, name := range names {
		addr := loopback.Addr(ports[name])
		front, err := s.front(name, addr)
		if err != nil {
			return nil, "", err
		}
		fronts = append(fronts, front)
		units = append(units, &unit{
			name: name, addr: addr, logPath: s.logPath(name), inCluster: len(names) > 1,
			ready: func(ctx context.Context) error { return askBroker(ctx, addr, front) },
		})
	}
	commands, err := s.brokerCommands(ctx, bin, ports, fronts)
	for i := range commands {
		units[i].command = commands[i]
	}
	return units, strings.Join(fronts, ","), err
}

func (s *Stack) brokerCommands(ctx context.Context, bin string, ports map[string]int, advertise []string) ([]process.Command, error) {
	if s.cfg.KafkaNodes == 0 {
		return []process.Command{{
			Path: filepath.Join(bin, "devstack"),
			Args: []string{
				"broker", fmt.Sprintf("--port=%d", ports[Broker]), "--dir=" + filepath.Join(s.cfg.Dir, Broker), "--advertise=" + advertise[0],
				fmt.Sprintf("--partitions=%d", s.partitions()),
			},
		}}, nil
	}
	var nodes []kafka.Node
	for i, name := range brokerNames(s.cfg.KafkaNodes) {
		nodes = append(nodes, kafka.Node{Port: ports[name], Advertise: advertise[i]})
	}
	return kafka.Cluster(ctx, kafka.Config{Dir: filepath.Join(s.cfg.Dir, realKafka), Progress: s.cfg.Console}, nodes...)
}

// askBroker returns an error unless a broker answers at addr, and takes part in its cluster as what
// it advertises: topics have replicas only on those that do.
func askBroker(ctx context.Context, addr, advertised string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	listed := slices.ContainsFunc(response.Brokers, func(b kmsg.MetadataResponseBroker) bool {
		return fmt.Sprintf("%s:%d", b.Host, b.Port) == advertised
	})
	if !listed {
		return fmt.Errorf("the broker at %s does not take part in its cluster yet", addr)
	}
	return nil
}
