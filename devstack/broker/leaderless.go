package broker

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// LeaderlessPartitions is a setting of topics that only the embedded broker has: partitions,
// separated by commas, that have no leader for as long as it is set, as where all replicas of a
// partition are down. Set it with IncrementalAlterConfigs. Metadata names no leader for them
// (LEADER_NOT_AVAILABLE), and nothing is produced to them or fetched from them. A broker that is
// opened again has forgotten it.
const LeaderlessPartitions = "waybill.leaderless.partitions"

// leaderless are the partitions that have no leader now.
type leaderless struct {
	broker *Broker

	mu     sync.Mutex
	topics map[string][]int32
	faults map[string]*kfake.FaultHandle
	client *kgo.Client // asks for the metadata that is changed; nil until it is needed
}

func (b *Broker) honourLeaderless() {
	l := &leaderless{broker: b, topics: map[string][]int32{}, faults: map[string]*kfake.FaultHandle{}}
	b.leaderless = l
	b.ControlKey(int16(kmsg.IncrementalAlterConfigs), l.alterConfigs)
	b.ControlKey(int16(kmsg.Metadata), l.metadata)
}

func (l *leaderless) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client != nil {
		l.client.Close()
	}
}

// alterConfigs answers a request that is about the setting alone, of which kfake knows nothing.
func (l *leaderless) alterConfigs(request kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // the order of results is kfake's
	l.broker.KeepControl()
	r := request.(*kmsg.IncrementalAlterConfigsRequest)
	ours := func(c kmsg.IncrementalAlterConfigsRequestResourceConfig) bool { return c.Name == LeaderlessPartitions }
	if len(r.Resources) != 1 || !slices.ContainsFunc(r.Resources[0].Configs, ours) {
		return nil, nil, false
	}
	topic, setting := r.Resources[0].ResourceName, r.Resources[0].Configs[0]
	answer := kmsg.NewIncrementalAlterConfigsResponseResource()
	answer.ResourceType, answer.ResourceName = r.Resources[0].ResourceType, topic
	value := ""
	if setting.Op == kmsg.IncrementalAlterConfigOpSet && setting.Value != nil {
		value = *setting.Value
	}
	if err := l.set(topic, value); err != nil {
		answer.ErrorCode, answer.ErrorMessage = kerr.InvalidConfig.Code, new(err.Error())
	}
	response := r.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	response.Resources = append(response.Resources, answer)
	return response, nil, true
}

// set takes the leaders away from partitions of a topic, and gives all others theirs back.
func (l *leaderless) set(topic, value string) error {
	var partitions []int32
	for field := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' || r == ' ' }) {
		n, err := strconv.ParseInt(field, 10, 32)
		if err != nil {
			return fmt.Errorf("%s lists partitions, such as 0,2: %w", LeaderlessPartitions, err)
		}
		partitions = append(partitions, int32(n))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if fault := l.faults[topic]; fault != nil {
		fault.Remove()
	}
	delete(l.faults, topic)
	delete(l.topics, topic)
	if len(partitions) == 0 {
		return nil
	}
	l.topics[topic] = partitions
	l.faults[topic] = l.broker.Fault(kfake.Fault{
		Keys:  []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets},
		Topic: topic, Partitions: partitions, Err: kerr.NotLeaderForPartition, Count: -1,
	})
	return nil
}

// asked says whether it is the request by which the broker asks itself: no client wants both, and
// topics are not created by it.
func asked(r *kmsg.MetadataRequest) bool {
	return r.AllowAutoTopicCreation && r.IncludeTopicAuthorizedOperations
}

// metadata takes the leaders out of what kfake answers.
func (l *leaderless) metadata(request kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // the order of results is kfake's
	l.broker.KeepControl()
	r := request.(*kmsg.MetadataRequest)
	l.mu.Lock()
	nothing := len(l.topics) == 0
	l.mu.Unlock()
	if nothing || asked(r) {
		return nil, nil, false
	}
	var response *kmsg.MetadataResponse
	var err error
	l.broker.SleepControl(func() { response, err = l.ask(r) })
	if err != nil {
		return nil, err, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range response.Topics {
		topic := &response.Topics[i]
		for j := range topic.Partitions {
			p := &topic.Partitions[j]
			if topic.Topic != nil && slices.Contains(l.topics[*topic.Topic], p.Partition) {
				p.ErrorCode, p.Leader, p.LeaderEpoch = kerr.LeaderNotAvailable.Code, -1, -1
			}
		}
	}
	response.SetVersion(r.Version)
	return response, nil, true
}

func (l *leaderless) ask(r *kmsg.MetadataRequest) (*kmsg.MetadataResponse, error) {
	l.mu.Lock()
	if l.client == nil {
		client, err := kgo.NewClient(kgo.SeedBrokers(l.broker.addr))
		if err != nil {
			l.mu.Unlock()
			return nil, err
		}
		l.client = client
	}
	client := l.client
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	same := *r
	same.AllowAutoTopicCreation, same.IncludeTopicAuthorizedOperations = true, true
	return same.RequestWith(ctx, client)
}
