package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"waybill.example/contracts"
	"waybill.example/devstack/stack"
)

// The drills of a cluster: topics have three replicas, of which two must be in sync.
const clusterNodes = 3

var killABroker = Drill{
	Name:    "kill-a-broker",
	Promise: "one broker of three is killed at a time: every order is taken, and ends once others lead its partitions",
	For:     60 * time.Second, Within: 15 * time.Second,
	KafkaNodes: clusterNodes,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		for id := range clusterNodes {
			if err := s.without(ctx, d/clusterNodes, []int{id + 1}, nil); err != nil {
				return err
			}
		}
		return nil
	},
}

var killTheController = Drill{
	Name:    "kill-the-controller",
	Promise: "the active controller, which is a broker as well, is killed twice: another takes over, every order is taken and ends",
	For:     40 * time.Second, Within: 15 * time.Second,
	KafkaNodes: clusterNodes,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		for range 2 {
			controller, err := s.controller(ctx)
			if err != nil {
				return err
			}
			killed := time.Now()
			err = s.without(ctx, d/2, []int{controller}, func(ctx context.Context) error {
				return s.awaitController(ctx, killed, controller)
			})
			if err != nil {
				return err
			}
		}
		return nil
	},
}

// Without a quorum of controllers nothing is elected, so partitions whose leaders are dead stay
// without, and those of the one broker that is left take nothing: two replicas must have a record.
var loseQuorum = Drill{
	Name:    "lose-quorum",
	Promise: "two brokers of three are killed: every order is taken, the relay says what waits, no row counts as refused, and all orders end within 30 s of the brokers' return",
	For:     30 * time.Second, Within: 30 * time.Second,
	KafkaNodes: clusterNodes,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		left := s.Random.IntN(clusterNodes) + 1
		lost := slices.DeleteFunc([]int{1, 2, 3}, func(id int) bool { return id == left })
		return s.without(ctx, d/2, lost, func(ctx context.Context) error {
			if err := s.Wait(ctx, d/2); err != nil {
				return err
			}
			s.says(ctx, "wait for the broker")
			return s.noneRefused(ctx)
		})
	},
}

// noneRefused holds that no row and no message was set aside for what is wrong with the brokers.
func (s *Environment) noneRefused(ctx context.Context) error {
	for name, pool := range s.pools {
		var stuck int
		if err := pool.QueryRow(ctx, `select count(*) from outbox_stuck where not parked`).Scan(&stuck); err != nil {
			return fmt.Errorf("count the stuck rows of %s: %w", name, err)
		}
		if stuck > 0 {
			s.Failed("%d rows of %s are stuck, and wait for no more than brokers", stuck, name)
		}
	}
	return nil
}

// without kills brokers, does something meanwhile, leaves them dead for a while, starts them again,
// and waits until all replicas are in sync. It measures what that costs the orders.
func (s *Environment) without(ctx context.Context, d time.Duration, ids []int, meanwhile func(context.Context) error) error {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = fmt.Sprintf("%s-%d", stack.Broker, id)
	}
	label := strings.Join(names, " and ") + " killed"
	began := time.Now()
	end := s.Fault(label)
	defer end()
	if err := s.actOnAll(ctx, stack.Kill, names); err != nil {
		return err
	}
	if meanwhile != nil {
		if err := meanwhile(ctx); err != nil {
			return err
		}
	}
	if err := s.Wait(ctx, d); err != nil {
		return err
	}
	back := time.Now()
	if err := s.actOnAll(ctx, stack.Start, names); err != nil {
		return err
	}
	s.Measured("%s: taken into the cluster again %s after the start", label, seconds(time.Since(back)))
	if err := s.measureWait(ctx, label, began); err != nil {
		return err
	}
	if err := s.Until(ctx, 2*time.Minute, "all replicas are in sync", s.inSync); err != nil {
		return err
	}
	s.Measured("%s: all replicas were in sync %s after the start", label, seconds(time.Since(back)))
	return nil
}

func (s *Environment) actOnAll(ctx context.Context, action stack.Action, names []string) error {
	acting, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		acting.Go(func() error { return s.Act(ctx, action, name) })
	}
	return acting.Wait()
}

const (
	endedSinceSQL = `select count(*) from orders where status <> 'PENDING' and created_at > $1`
	// What orders waited that were placed since a moment, and for how long none ended.
	waitSQL = `
select count(*), count(*) filter (where took > 1), coalesce(max(took), 0)::float8, coalesce(max(gap), 0)::float8
  from (select extract(epoch from updated_at - created_at) as took,
               extract(epoch from updated_at - lag(updated_at, 1, $1::timestamptz) over (order by updated_at)) as gap
          from orders where status <> 'PENDING' and updated_at > $1) ended`
)

// measureWait waits until an order ends that was placed from now on, and measures what those have
// waited that ended since a moment.
func (s *Environment) measureWait(ctx context.Context, label string, since time.Time) error {
	orders, now := s.pools[stack.Orders], time.Now()
	err := s.Until(ctx, time.Minute, "an order ends", func(ctx context.Context) (bool, error) {
		return s.count(ctx, orders, endedSinceSQL, now) > 0, nil
	})
	if err != nil {
		return err
	}
	var (
		ended, late  int
		longest, gap float64
	)
	if err := orders.QueryRow(ctx, waitSQL, since).Scan(&ended, &late, &longest, &gap); err != nil {
		return fmt.Errorf("measure what orders have waited: %w", err)
	}
	s.Measured("%s: no order ended for %.1f s; of %d orders %d took more than a second, the longest %.1f s", label, gap, ended, late, longest)
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// controller returns the node id of the active controller.
func (s *Environment) controller(ctx context.Context) (int, error) {
	client, err := s.kafka()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", []kmsg.DescribeQuorumRequestTopicPartition{{}}
	request := kmsg.NewPtrDescribeQuorumRequest()
	request.Topics = []kmsg.DescribeQuorumRequestTopic{topic}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return 0, fmt.Errorf("describe the controllers' quorum: %w", err)
	}
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return 0, fmt.Errorf("describe the controllers' quorum: %w", err)
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return 0, errors.New("describe the controllers' quorum: an answer without it")
	}
	partition := response.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
		return 0, fmt.Errorf("describe the controllers' quorum: %w", err)
	}
	return int(partition.LeaderID), nil
}

// awaitController waits until another controller than that one is active, and measures how long
// that takes.
func (s *Environment) awaitController(ctx context.Context, since time.Time, last int) error {
	now := last
	err := s.Until(ctx, 30*time.Second, "another controller is active", func(ctx context.Context) (bool, error) {
		var err error
		now, err = s.controller(ctx)
		return err == nil && now != last && now > 0, err
	})
	if err != nil {
		return err
	}
	s.Measured("controller %d was active %s after controller %d was killed", now, seconds(time.Since(since)), last)
	return nil
}

// inSync says whether every replica of our topics is in sync.
func (s *Environment) inSync(ctx context.Context) (bool, error) {
	client, err := s.kafka()
	if err != nil {
		return false, err
	}
	defer client.Close()
	request := kmsg.NewPtrMetadataRequest()
	for _, name := range contracts.Topics() {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = new(name)
		request.Topics = append(request.Topics, topic)
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return false, fmt.Errorf("ask for the replicas: %w", err)
	}
	for _, topic := range response.Topics {
		for _, p := range topic.Partitions {
			if p.Leader < 0 || len(p.Replicas) != clusterNodes || len(p.ISR) != clusterNodes {
				return false, fmt.Errorf("%s/%d has leader %d, and of replicas %v those in sync are %v", *topic.Topic, p.Partition, p.Leader, p.Replicas, p.ISR)
			}
		}
	}
	return true, nil
}
