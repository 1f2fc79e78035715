package broker_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/devstack/broker"
)

const session = 4 * time.Second

// rawMember is a member of a consumer group that does what a test tells it, and nothing else.
type rawMember struct {
	t          *testing.T
	client     *kgo.Client
	id         string
	generation int32
	leader     bool
}

func newRawMember(t *testing.T, b *broker.Broker) *rawMember {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &rawMember{t: t, client: client}
}

// join returns when the group has been formed.
func (m *rawMember) join() error {
	request := kmsg.NewPtrJoinGroupRequest()
	request.Group, request.MemberID, request.ProtocolType = "group", m.id, "consumer"
	request.SessionTimeoutMillis, request.RebalanceTimeoutMillis = int32(session.Milliseconds()), 60_000
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name, protocol.Metadata = "sticky", []byte(m.id)
	request.Protocols = append(request.Protocols, protocol)
	ctx, cancel := context.WithTimeout(m.t.Context(), 30*time.Second)
	defer cancel()
	response, err := request.RequestWith(ctx, m.client)
	if err != nil {
		return err
	}
	err = kerr.ErrorForCode(response.ErrorCode)
	if err == kerr.MemberIDRequired { //nolint:errorlint // a sentinel
		m.id = response.MemberID
		return m.join()
	}
	m.generation, m.leader = response.Generation, response.LeaderID == m.id
	return err
}

func (m *rawMember) sync() error {
	request := kmsg.NewPtrSyncGroupRequest()
	request.Group, request.MemberID, request.Generation = "group", m.id, m.generation
	ctx, cancel := context.WithTimeout(m.t.Context(), 30*time.Second)
	defer cancel()
	response, err := request.RequestWith(ctx, m.client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(response.ErrorCode)
}

func (m *rawMember) heartbeat() error {
	request := kmsg.NewPtrHeartbeatRequest()
	request.Group, request.MemberID, request.Generation = "group", m.id, m.generation
	response, err := request.RequestWith(m.t.Context(), m.client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(response.ErrorCode)
}

// later runs something that waits for the rest of the group.
func later(do func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	return done
}

// two returns a stable group.
func two(t *testing.T, b *broker.Broker) (first, second *rawMember) {
	t.Helper()
	first, second = newRawMember(t, b), newRawMember(t, b)
	require.NoError(t, first.join())
	joining := later(second.join)
	require.Eventually(t, func() bool { return first.heartbeat() == kerr.RebalanceInProgress }, time.Minute, 10*time.Millisecond) //nolint:errorlint // a sentinel
	require.NoError(t, first.join())
	require.NoError(t, <-joining)
	require.True(t, first.leader)
	syncing := later(second.sync)
	require.NoError(t, first.sync())
	require.NoError(t, <-syncing)
	return first, second
}

// While a group is formed, those who have joined wait for those who have not, and cannot send a
// heartbeat meanwhile. They must not be dropped for that: nobody would answer them, and a consumer
// would wait for max.poll.interval.ms. Apache Kafka keeps members that await a join or sync.
func TestGroup_AMemberThatWaitsForTheOthersLongerThanItsSessionStays(t *testing.T) {
	t.Parallel()
	b, err := broker.Open(t.Context(), broker.Config{})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	first, second := two(t, b)
	third := newRawMember(t, b)
	joining := later(third.join)
	require.Eventually(t, func() bool { return second.heartbeat() == kerr.RebalanceInProgress }, time.Minute, 10*time.Millisecond) //nolint:errorlint // a sentinel
	rejoining := later(second.join)
	for until := time.Now().Add(2 * session); time.Now().Before(until); {
		require.ErrorIs(t, first.heartbeat(), kerr.RebalanceInProgress, "alive, and slow to rejoin")
		select {
		case err := <-rejoining:
			require.Fail(t, "a group cannot be formed without its first member", "%v", err)
		case <-time.After(session / 10):
		}
	}
	require.NoError(t, first.join())
	require.NoError(t, <-rejoining)
	require.NoError(t, <-joining)
	require.Equal(t, first.generation, second.generation)

	// The same while the leader takes its time to assign.
	syncing := []<-chan error{later(second.sync), later(third.sync)}
	for until := time.Now().Add(2 * session); time.Now().Before(until); <-time.After(session / 10) {
		require.NoError(t, first.heartbeat())
	}
	require.NoError(t, first.sync())
	for _, done := range syncing {
		require.NoError(t, <-done)
	}
}

// A member that is killed while it waits is dropped when its session is over, and the others go on.
func TestGroup_AMemberThatIsKilledWhileItWaitsIsDropped(t *testing.T) {
	t.Parallel()
	b, err := broker.Open(t.Context(), broker.Config{})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	first, second := two(t, b)
	third := newRawMember(t, b)
	joining := later(third.join)
	require.Eventually(t, func() bool { return first.heartbeat() == kerr.RebalanceInProgress }, time.Minute, 10*time.Millisecond) //nolint:errorlint // a sentinel
	rejoining := later(first.join)
	first.client.Close() // what the kernel does for a process that was killed
	require.Error(t, <-rejoining)
	require.ErrorIs(t, second.heartbeat(), kerr.RebalanceInProgress)
	require.NoError(t, second.join())
	require.NoError(t, <-joining)
	members := []*rawMember{second, third}
	require.Eventually(t, func() bool {
		// The group may be formed once more, with and then without the one that is gone.
		var done []<-chan error
		for _, m := range members {
			done = append(done, later(func() error {
				if err := m.sync(); err != nil {
					return m.join()
				}
				return m.heartbeat()
			}))
		}
		ok := true
		for _, d := range done {
			ok = <-d == nil && ok
		}
		return ok && second.generation == third.generation && second.heartbeat() == nil && third.heartbeat() == nil
	}, time.Minute, session/10)
}
