package drill

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/devstack/stack"
)

// What the drills of neighbours write, into the outbox of Orders, for topics of their own.
const (
	refusedTopic = "drill-refused.v1"
	narrowTopic  = "drill-narrow.v1"
	refusedKeys  = 100_000
	narrowRows   = 3000

	putRefusedSQL = `insert into outbox (topic, key, type, payload) select $1, 'drill-' || i, 'Drill', '{}' from generate_series(1, $2::int) i`
	// The 2,000th row is longer than the topic takes, and shorter than the client.
	putNarrowSQL = `
insert into outbox (topic, key, type, payload)
select $1, 'drill-' || i % 5, 'Drill', convert_to(repeat('x', case when i = 2000 then 300000 else 300 end), 'utf8')
  from generate_series(1, $2::int) i order by i`
	stuckSQL     = `select count(*) from outbox_stuck where topic = $1 and not parked and discarded_at is null`
	asideSQL     = `select count(*) from (select from outbox_stuck where topic = $1 limit 1) s`
	neighbourSQL = `select count(*) from outbox_status where topic = $1 and status <> 'published'`
	epochSQL     = `select epoch from outbox_cursor`
)

var topicRefused = Drill{
	Name:    "topic-refused",
	Promise: "100,000 rows of as many keys are for a topic that does not exist: it is one stuck row, and when it is made they all go out within 30 s",
	For:     10 * time.Second,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		pool := s.pools[stack.Orders]
		end := s.Fault("a topic is refused")
		defer end()
		if _, err := pool.Exec(ctx, putRefusedSQL, refusedTopic, refusedKeys); err != nil {
			return fmt.Errorf("write rows for a topic that does not exist: %w", err)
		}
		if err := s.Wait(ctx, d); err != nil {
			return err
		}
		if n := s.count(ctx, pool, stuckSQL, refusedTopic); n != 1 {
			s.Failed("%d rows are stuck, and not one for the topic", n)
		}
		if err := s.createTopic(ctx, refusedTopic, 3, nil); err != nil {
			return err
		}
		began := time.Now()
		// Refused once more where the broker does not know its new topic everywhere: it is tried
		// again by itself.
		if _, err := s.relayCommand(ctx, "stuck", "retry", "--all"); err != nil && !strings.Contains(err.Error(), "refused again") {
			return err
		}
		err := s.Until(ctx, 30*time.Second, "all rows of the topic are published", func(ctx context.Context) (bool, error) {
			return s.count(ctx, pool, asideSQL, refusedTopic) == 0, nil
		})
		if err != nil {
			return err
		}
		s.Measured("%d rows were published %s after their topic was made", refusedKeys, time.Since(began).Round(100*time.Millisecond))
		return s.forget(ctx, refusedTopic)
	},
}

var largePoison = Drill{
	Name:      "large-poison",
	Promise:   "a row that its topic refuses is in a request of thousands, and a standby is present: it is found within 15 s, its neighbours go out, and the lead stays where it is",
	For:       10 * time.Second,
	Processes: true,
	Prepare: func(ctx context.Context, s *Environment) error {
		_, err := s.Spawn(ctx, stack.Relay)
		return err
	},
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		pool := s.pools[stack.Orders]
		if err := s.createTopic(ctx, narrowTopic, 1, map[string]string{"max.message.bytes": strconv.Itoa(200_000)}); err != nil {
			return err
		}
		end := s.Fault("a row that its topic refuses")
		defer end()
		epoch := s.count(ctx, pool, epochSQL)
		began := time.Now()
		if _, err := pool.Exec(ctx, putNarrowSQL, narrowTopic, narrowRows); err != nil {
			return fmt.Errorf("write rows for a topic with a limit: %w", err)
		}
		behind := int64(narrowRows-2000)/5 + 1
		err := s.Until(ctx, 15*time.Second, "the row is stuck and its neighbours are published", func(ctx context.Context) (bool, error) {
			return s.count(ctx, pool, stuckSQL, narrowTopic) == 1 && s.count(ctx, pool, neighbourSQL, narrowTopic) == behind, nil
		})
		if err != nil {
			return err
		}
		s.Measured("the row was found, and all others of %d were published, in %s", narrowRows, time.Since(began).Round(10*time.Millisecond))
		if err := s.Wait(ctx, d); err != nil {
			return err
		}
		if now := s.count(ctx, pool, epochSQL); now != epoch {
			s.Failed("the lead changed hands: epoch %d, then %d", epoch, now)
		}
		return s.forget(ctx, narrowTopic)
	},
}

// forget takes what a drill wrote out of the outbox of Orders again.
func (s *Environment) forget(ctx context.Context, topic string) error {
	for _, sql := range []string{`delete from outbox_stuck where topic = $1`, `delete from outbox where topic = $1`} {
		if _, err := s.pools[stack.Orders].Exec(ctx, sql, topic); err != nil {
			return fmt.Errorf("remove the rows of a drill: %w", err)
		}
	}
	return nil
}

func (s *Environment) createTopic(ctx context.Context, name string, partitions int32, settings map[string]string) error {
	client, err := s.kafka()
	if err != nil {
		return err
	}
	defer client.Close()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	for key, value := range settings {
		setting := kmsg.NewCreateTopicsRequestTopicConfig()
		setting.Name, setting.Value = key, new(value)
		topic.Configs = append(topic.Configs, setting)
	}
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = 10_000
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("create topic %s: %w", name, err)
	}
	for _, t := range response.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("create topic %s: %w", name, err)
		}
	}
	return nil
}
