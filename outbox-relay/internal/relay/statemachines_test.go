package relay

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/kafka"
	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

func TestPark_OnlyWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	slow, flowing, idle := standing{"slow", 3 * time.Second, false}, standing{"flowing", 0, true}, standing{topic: "idle", moves: true}
	old := standing{"slow", time.Minute, false}
	for name, c := range map[string]struct {
		all     []standing
		pressed bool
		want    []string
	}{
		"there is room for all":             {[]standing{slow, flowing}, false, nil},
		"there is none":                     {[]standing{slow, flowing}, true, []string{"slow"}},
		"the other would flow":              {[]standing{slow, idle}, true, []string{"slow"}},
		"it costs the others nothing yet":   {[]standing{old, flowing}, false, []string{"slow"}},
		"no topic moves: it is the brokers": {[]standing{old, {"other", time.Minute, false}}, true, nil},
		"alone, there may be others behind": {[]standing{old}, true, []string{"slow"}},
		"alone, and it may only be slow":    {[]standing{slow}, true, nil},
		"alone, and there is room":          {[]standing{old}, false, nil},
		"one of its partitions goes on":     {[]standing{{"slow", 3 * time.Second, true}, flowing}, true, []string{"slow"}},
		"two of three":                      {[]standing{slow, {"slower", 2 * time.Second, false}, flowing}, true, []string{"slow", "slower"}},
		"everything is as it should be":     {[]standing{flowing, idle}, true, nil},
	} {
		require.Equal(t, c.want, park(c.all, c.pressed), name)
	}
}

// What other rows achieve in between does not shorten the pause; that a producer lives does.
func TestLife_PausesGrowUntilAProducerLasts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l life
		l.begin(time.Now())
		fail := func(refused bool) time.Duration {
			l.end(time.Now())
			l.backOff(time.Now(), refused)
			pause := time.Until(l.until)
			<-time.After(pause)
			l.begin(time.Now())
			return pause
		}
		last := time.Duration(0)
		for range 5 {
			pause := fail(false)
			require.Greater(t, pause, last)
			last = pause
		}
		require.True(t, l.looping())
		require.Zero(t, fail(true), "a refused row is dealt with: no reason to wait")
		for range 10 {
			last = fail(false)
		}
		require.Equal(t, longestPause, last)
		<-time.After(shortLife)
		l.last(time.Now())
		require.False(t, l.looping())
		require.Less(t, fail(false), 100*time.Millisecond)
	})
}

func TestQuarantine_LanesAreTopicsAndKeysOfTopics(t *testing.T) {
	t.Parallel()
	row := func(topic, key string, origin source.Origin) *source.Row {
		return &source.Row{Topic: topic, Key: []byte(key), Batch: &source.Batch{Origin: origin}}
	}
	q := newQuarantine([]source.Due{{ID: 1, Topic: "a", Key: new("k")}, {ID: 2, Topic: "b", Key: new("k"), Whole: true}}, []string{"c"})
	require.True(t, q.blocks(row("a", "k", source.New)))
	require.False(t, q.blocks(row("a", "other", source.New)))
	require.False(t, q.blocks(row("d", "k", source.New)), "order is kept within a topic")
	require.True(t, q.blocks(row("b", "other", source.New)))
	require.True(t, q.blocks(&source.Row{Topic: "b", Batch: &source.Batch{}}), "a row without a key waits for its topic too")
	require.True(t, q.blocks(row("c", "k", source.New)), "orphaned rows go first")
	require.False(t, q.blocks(row("c", "k", source.Released)))

	q.release(lane{topic: "a", key: "k"})
	require.True(t, q.blocks(row("a", "k", source.New)), "parked rows go first")
	require.False(t, q.blocks(row("a", "k", source.Released)))
	q.stick(lane{topic: "a", whole: true})
	require.True(t, q.blocks(row("a", "k", source.Released)))
	_, keys := q.releasing(func(string) bool { return true })
	require.Empty(t, keys, "a key of a topic that waits is not released")
	q.release(lane{topic: "a", whole: true})
	topics, _ := q.releasing(func(topic string) bool { return topic == "a" })
	require.Equal(t, []string{"a"}, topics)
	q.remove(lane{topic: "a", whole: true})
	q.remove(lane{topic: "a", key: "k"})
	require.False(t, q.blocks(row("a", "k", source.New)))
}

// A probe never overtakes an earlier row of its key: a broker whose metadata is old may refuse row
// 2 while row 1 is on its way.
func TestProbe_WaitsForEarlierRowsOfItsKey(t *testing.T) {
	t.Parallel()
	tm := &loop{flows: newFlows(nil)}
	b := &source.Batch{}
	row := &source.Row{ID: 1, Topic: "a", Key: []byte("k"), Batch: b, State: source.Sent}
	b.Rows = []*source.Row{row}
	tm.batches = []*source.Batch{b}
	tm.arrive(row)
	due := func(topic, key string, whole bool) source.Due {
		return source.Due{ID: 2, Topic: topic, Key: &key, Whole: whole}
	}
	require.True(t, tm.ahead(due("a", "k", false)))
	require.False(t, tm.ahead(due("a", "other", false)))
	require.False(t, tm.ahead(due("b", "k", false)))
	require.True(t, tm.ahead(due("a", "other", true)), "a probe of a topic waits for all of it")
	require.False(t, tm.ahead(source.Due{ID: 2, Topic: "a"}), "a row without a key has no order")
	tm.complete(row)
	require.False(t, tm.ahead(due("a", "k", false)))
}

// Where a role may not see since when a session has held back vacuum, the relay knows for how long
// it has seen it.
func TestVacuum_HeldForAsLongAsItWasSeen(t *testing.T) {
	t.Parallel()
	var v vacuum
	begin := time.Now()
	session := source.Vacuum{Kind: "session", Name: "pid 1"}
	require.Zero(t, v.held(session, begin))
	require.Equal(t, time.Hour, v.held(session, begin.Add(time.Hour)))
	session.Held = 3 * time.Hour
	require.Equal(t, 3*time.Hour, v.held(session, begin.Add(time.Hour)))
	require.Zero(t, v.held(source.Vacuum{Kind: "session", Name: "pid 2"}, begin.Add(time.Hour)), "another one")
	require.Zero(t, v.held(source.Vacuum{}, begin.Add(2*time.Hour)))
	require.Zero(t, v.held(source.Vacuum{Kind: "session", Name: "pid 2"}, begin.Add(3*time.Hour)))
}

// Each database may have a login of its own: what it sends must not go out under another one's.
func TestNewSource_SharesNoClientsWithAnotherLogin(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	config := kafka.Config{Brokers: []string{"127.0.0.1:1"}, SecurityProtocol: "SASL_PLAINTEXT", SASLUsername: "relay"}
	options := Options{Clients: publish.NewClients(config, log)}
	same := NewSource("orders", "", "", config, options, NewMetrics(prometheus.NewRegistry()), log)
	require.Same(t, options.Clients, same.options.Clients)
	config.SASLUsername = "orders"
	other := NewSource("orders", "", "", config, options, NewMetrics(prometheus.NewRegistry()), log)
	require.NotSame(t, options.Clients, other.options.Clients)
	require.True(t, other.options.Clients.Fit(config))
}
