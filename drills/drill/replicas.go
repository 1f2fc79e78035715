package drill

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/devstack/broker"
	"waybill.example/devstack/stack"
)

const (
	scarceTopic = "drill-scarce.v1"
	// More than the relay has in flight for all topics of a database together, and then some more
	// four times a second.
	scarceRows, scarceMore = 60_000, 50
	scarceKeys             = 100
	scarcePartitions       = 3

	// The value says which row of its key it is.
	putScarceSQL = `
insert into outbox (topic, key, type, payload)
select $1, 'drill-' || i % $4, 'Drill', convert_to(i::text, 'utf8') from generate_series($2::int, $3::int) i order by i`
	oldestPendingSQL = `select coalesce(extract(epoch from max(now() - created_at)) * 1000, 0)::bigint from orders where status = 'PENDING'`
	parkedSQL        = `select count(*) from outbox_stuck where topic = $1 and parked`
	// Whether a row of the topic waits, without reading those that were published.
	waitsSQL = `
select (exists (select from outbox_stuck where topic = $1)
     or coalesce((select id from outbox where topic = $1 order by id desc limit 1) >= (select upper(published) from outbox_cursor), false))::int`
	// How long an order may take while another topic of its database takes nothing.
	besideOthers = 5 * time.Second
)

// A topic that has too few replicas in sync: its broker answers, and takes none of its rows.
var topicUnreplicated = Drill{
	Name:    "topic-unreplicated",
	Promise: "a topic has too few replicas in sync: 60,000 rows wait for it, the relay says so, orders end within 5 s meanwhile, and all rows go out in order within 15 s of its recovery",
	For:     15 * time.Second,
	EmbeddedOnly: "a topic of one replica takes rows on any other broker, whatever its " +
		"min.insync.replicas says",
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		return s.starve(ctx, d, "a topic takes nothing", "min.insync.replicas", "2", "1")
	},
}

// A partition of which all replicas are down: nobody answers for it, and the others of its topic
// take their rows.
var partitionLeaderless = Drill{
	Name:         "partition-leaderless",
	Promise:      "a partition of a topic has no leader: 60,000 rows wait, the relay says so, orders end within 5 s meanwhile, and all rows go out in order within 15 s of its return",
	For:          15 * time.Second,
	EmbeddedOnly: "the only node of another broker cannot lose a partition alone",
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		return s.starve(ctx, d, "a partition has no leader", broker.LeaderlessPartitions, "0", "")
	},
}

// starve writes rows for a topic that a setting keeps from taking them, or some of them, and takes
// the setting back.
func (s *Environment) starve(ctx context.Context, d time.Duration, fault, setting, broken, whole string) error {
	if err := s.createTopic(ctx, scarceTopic, scarcePartitions, nil); err != nil {
		return err
	}
	end := s.Fault(fault)
	defer end()
	if err := s.setTopic(ctx, scarceTopic, setting, broken); err != nil {
		return err
	}
	rows, err := s.fillScarce(ctx, d)
	if err != nil {
		return err
	}
	s.says(ctx, "rows for topic "+scarceTopic+" wait for the broker")
	if parked := s.count(ctx, s.pools[stack.Orders], parkedSQL, scarceTopic); parked < int64(rows/10) {
		return fmt.Errorf("the topic was not to take its rows, and %d of %d are parked", parked, rows)
	}
	if err := s.setTopic(ctx, scarceTopic, setting, whole); err != nil {
		return err
	}
	began := time.Now()
	err = s.Until(ctx, 15*time.Second, "all rows of the topic are published", func(ctx context.Context) (bool, error) {
		return s.count(ctx, s.pools[stack.Orders], waitsSQL, scarceTopic) == 0, nil
	})
	if err != nil {
		return err
	}
	s.Measured("%d rows were published %s after their topic took all of them again", rows, time.Since(began).Round(100*time.Millisecond))
	if err := s.judgeScarce(ctx, rows); err != nil {
		return err
	}
	return s.forget(ctx, scarceTopic)
}

// fillScarce writes rows for the topic for a while, looks at how orders fare, and returns how many
// rows it wrote.
func (s *Environment) fillScarce(ctx context.Context, d time.Duration) (rows int, err error) {
	put := func(n int) error {
		_, err := s.pools[stack.Orders].Exec(ctx, putScarceSQL, scarceTopic, rows+1, rows+n, scarceKeys)
		rows += n
		return err
	}
	err = put(scarceRows)
	longest := time.Duration(0)
	for until := time.Now().Add(d); err == nil && time.Now().Before(until); err = put(scarceMore) {
		if err := s.Wait(ctx, 250*time.Millisecond); err != nil {
			return rows, err
		}
		age := time.Duration(s.count(ctx, s.pools[stack.Orders], oldestPendingSQL)) * time.Millisecond
		longest = max(longest, age)
	}
	if err != nil {
		return rows, fmt.Errorf("write rows for a topic that takes nothing: %w", err)
	}
	s.Measured("meanwhile the oldest order that had not ended was %s old", longest.Round(10*time.Millisecond))
	if longest > besideOthers {
		s.Failed("an order had not ended after %s, while another topic took nothing", longest.Round(10*time.Millisecond))
	}
	return rows, nil
}

// says holds that the relay's /readyz has a text.
func (s *Environment) says(ctx context.Context, text string) {
	_, answer, err := get(ctx, "http://"+s.addr(stack.Relay)+"/readyz")
	switch {
	case err != nil:
		s.Failed("the relay's /readyz could not be read: %v", err)
	case !strings.Contains(answer, text):
		s.Failed("the relay's /readyz does not say %q: %s", text, answer)
	}
}

// judgeScarce holds that every row is on its topic, and those of each key in order.
func (s *Environment) judgeScarce(ctx context.Context, rows int) error {
	records, err := s.contents(ctx, scarceTopic)
	if err != nil {
		return err
	}
	seen, last, repeated := map[int]bool{}, map[string]int{}, 0
	for _, r := range records {
		var i int
		if _, err := fmt.Sscan(string(r.Value), &i); err != nil {
			return fmt.Errorf("a record that the drill did not write: %w", err)
		}
		if seen[i] {
			repeated++
			continue
		}
		seen[i] = true
		if key := string(r.Key); i < last[key] {
			s.Failed("row %d of key %s is on its topic after row %d", i, key, last[key])
		} else {
			last[key] = i
		}
	}
	s.Measured("%d of %d rows are on their topic, in the order of their keys; %d came again", len(seen), rows, repeated)
	if len(seen) != rows {
		s.Failed("%d of %d rows are not on their topic", rows-len(seen), rows)
	}
	return nil
}

// contents returns all records of a topic, those of each partition in their order.
func (s *Environment) contents(ctx context.Context, topic string) (all []*kgo.Record, err error) {
	client, err := s.kafka(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	left, err := ends(ctx, client, topic, scarcePartitions)
	if err != nil {
		return nil, err
	}
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read topic %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			all = append(all, r)
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return all, nil
}

// setTopic sets one setting of a topic.
func (s *Environment) setTopic(ctx context.Context, topic, name, value string) error {
	client, err := s.kafka()
	if err != nil {
		return err
	}
	defer client.Close()
	setting := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	setting.Name, setting.Op, setting.Value = name, kmsg.IncrementalAlterConfigOpSet, new(value)
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	resource.Configs = append(resource.Configs, setting)
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	request.Resources = append(request.Resources, resource)
	response, err := request.RequestWith(ctx, client)
	if err == nil && len(response.Resources) > 0 {
		err = kerr.ErrorForCode(response.Resources[0].ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("set %s of topic %s: %w", name, topic, err)
	}
	return nil
}

// ends returns where the partitions of a topic end, of those that are not empty.
func ends(ctx context.Context, client *kgo.Client, topic string, partitions int32) (map[int32]int64, error) {
	asked := kmsg.NewListOffsetsRequestTopic()
	asked.Topic = topic
	for p := range partitions {
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Partition, partition.Timestamp = p, -1 // the end
		asked.Partitions = append(asked.Partitions, partition)
	}
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	request.Topics = append(request.Topics, asked)
	found := map[int32]int64{}
	for _, shard := range client.RequestSharded(ctx, request) {
		if shard.Err != nil {
			return nil, fmt.Errorf("look for the end of topic %s: %w", topic, shard.Err)
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, fmt.Errorf("look for the end of topic %s: %w", topic, err)
				}
				if p.Offset > 0 {
					found[p.Partition] = p.Offset
				}
			}
		}
	}
	return found, nil
}
