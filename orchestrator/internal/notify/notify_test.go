package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/apiclient"
	"waybill.example/devstack/commandline"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/orchestrator/internal/notify"
	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/saga"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"

// receiver is a webhook that verifies what it is reported.
type receiver struct {
	t       *testing.T
	url     string
	mu      sync.Mutex
	told    []string // type and summary
	ids     map[string]int
	refuse  int // so many requests
	arrived chan struct{}
}

func listen(t *testing.T) *receiver {
	r := &receiver{t: t, ids: map[string]int{}, arrived: make(chan struct{}, 100)}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL + "/hooks/of-somebody"
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, _ := io.ReadAll(request.Body)
	verifier, _ := standardwebhooks.NewWebhook(secret)
	if err := verifier.Verify(body, request.Header); err != nil || request.Header.Get("Content-Type") != "application/cloudevents+json" {
		r.t.Errorf("not signed, or no CloudEvent: %v, %v", err, request.Header)
	}
	r.ids[request.Header.Get("webhook-id")]++
	defer func() { r.arrived <- struct{}{} }()
	if r.refuse > 0 {
		r.refuse--
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	var event struct {
		Type string
		Data struct{ Summary string }
	}
	_ = json.Unmarshal(body, &event)
	r.told = append(r.told, event.Type[strings.LastIndex(event.Type, ".")+1:]+": "+event.Data.Summary)
}

func (r *receiver) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.told...)
}

// conditions are what a Finder finds.
type conditions struct {
	mu  sync.Mutex
	now []notify.Condition
}

func (c *conditions) set(now ...notify.Condition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func (c *conditions) find(context.Context) ([]notify.Condition, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, []string{"sagas"}
}

func run(t *testing.T, db *pgtest.Database, r *receiver, find notify.Finder, log *bytes.Buffer) (stop func()) {
	t.Helper()
	webhook, err := notify.NewWebhook(r.url, secret)
	require.NoError(t, err)
	logger := slog.New(slog.DiscardHandler)
	if log != nil {
		logger = slog.New(slog.NewTextHandler(log, nil))
	}
	n := notify.New(notify.Options{
		DB: db.Pool, Find: find, Webhook: webhook, Every: 20 * time.Millisecond, After: time.Hour, Log: logger, Metrics: prometheus.NewRegistry(),
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

func urgent(key, summary string) notify.Condition {
	return notify.Condition{Key: key, Source: "sagas", Subject: key, Count: 1, Urgent: true, Detail: notify.Detail{Summary: summary}}
}

func database(t *testing.T) *pgtest.Database {
	t.Helper()
	return pgtest.New(t, migrations.Outbox, migrations.Orchestrator)
}

func TestNotifier_ReportsTheBeginningAndTheEnd(t *testing.T) {
	t.Parallel()
	db, r, c := database(t), listen(t), &conditions{}
	c.set(urgent("k", "saga 1 is stuck"))
	run(t, db, r, c.find, nil)
	require.Eventually(t, func() bool { return len(r.all()) == 1 }, time.Minute, 10*time.Millisecond)
	require.Equal(t, "needed: saga 1 is stuck", r.all()[0])
	c.set()
	require.Eventually(t, func() bool { return len(r.all()) == 2 }, time.Minute, 10*time.Millisecond)
	require.Contains(t, r.all()[1], "resolved: Over after ")
	// That it was taken is recorded once the receiver has answered.
	require.Eventually(t, func() bool {
		sent, err := notify.List(t.Context(), db.Pool, nil, 10)
		return err == nil && len(sent) == 2 && sent[0].NextAttemptAt == nil
	}, time.Minute, 10*time.Millisecond)
}

// Two orchestrators that look and send at the same time tell everything once.
func TestNotifier_SeveralInstancesReportOnce(t *testing.T) {
	t.Parallel()
	db, r, c := database(t), listen(t), &conditions{}
	for i := range 5 {
		c.now = append(c.now, urgent(string(rune('a'+i)), "it is stuck"))
	}
	run(t, db, r, c.find, nil)
	run(t, db, r, c.find, nil)
	require.Eventually(t, func() bool { return len(r.all()) >= 5 }, time.Minute, 10*time.Millisecond)
	var passes time.Time
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select at from notification_pass`).Scan(&passes))
	require.Eventually(t, func() bool {
		var later time.Time
		return db.Pool.QueryRow(context.WithoutCancel(t.Context()), `select at from notification_pass`).Scan(&later) == nil && later.Sub(passes) > 200*time.Millisecond
	}, time.Minute, 10*time.Millisecond)
	require.Len(t, r.all(), 5)
	for id, times := range r.ids {
		require.Equal(t, 1, times, id)
	}
}

// A receiver that is unavailable gets the same notification, under the same id, when it is back;
// also from another process.
func TestNotifier_SendsAgainUntilItIsTaken(t *testing.T) {
	t.Parallel()
	db, r, c := database(t), listen(t), &conditions{}
	r.refuse = 2
	c.set(urgent("k", "saga 1 is stuck"))
	var log bytes.Buffer
	stop := run(t, db, r, c.find, &log)
	<-r.arrived
	require.Eventually(t, func() bool {
		sent, err := notify.List(context.WithoutCancel(t.Context()), db.Pool, nil, 1)
		return err == nil && strings.Contains(sent[0].Error, "the webhook answered 503")
	}, time.Minute, 10*time.Millisecond)
	stop()
	require.NotContains(t, log.String(), "of-somebody", "an address can be a secret")
	sent, err := notify.List(t.Context(), db.Pool, nil, 10)
	require.NoError(t, err)
	require.Equal(t, 1, sent[0].Attempts)
	require.WithinRange(t, *sent[0].NextAttemptAt, time.Now().Add(time.Second), time.Now().Add(time.Minute))

	run(t, db, r, c.find, nil)
	for range 2 {
		_, err = db.Pool.Exec(t.Context(), `update notifications set next_attempt_at = now()`)
		require.NoError(t, err)
		<-r.arrived
	}
	require.Eventually(t, func() bool { return len(r.all()) == 1 }, time.Minute, 10*time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(t, r.ids, 1)
}

// One that does not take anything costs one attempt before it is looked again at what needs a
// person, however many notifications wait.
func TestNotifier_LooksBetweenAttemptsThatFail(t *testing.T) {
	t.Parallel()
	const waiting = 8
	db, r, c := database(t), listen(t), &conditions{}
	r.refuse = waiting
	for i := range waiting {
		c.now = append(c.now, urgent(string(rune('a'+i)), "it is stuck"))
	}
	var looks atomic.Int64
	run(t, db, r, func(ctx context.Context) ([]notify.Condition, []string) {
		looks.Add(1)
		return c.find(ctx)
	}, nil)
	for range waiting {
		<-r.arrived
	}
	require.GreaterOrEqual(t, looks.Load(), int64(waiting/2))
}

func TestNewWebhook_RefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ address, secret string }{
		{"", secret},
		{"ftp://example.com", secret},
		{"https://", secret},
		{"https://example.com/hook", ""},
		{"https://example.com/hook", "whsec_short"},
		{"https://example.com/hook", "whsec_" + strings.Repeat("!", 40)},
	} {
		_, err := notify.NewWebhook(tt.address, tt.secret)
		require.Error(t, err, "%+v", tt)
		if tt.secret != "" {
			require.NotContains(t, err.Error(), tt.secret)
		}
	}
}

// What is frozen holds nothing else up for long: others are stuck meanwhile.
func TestSources_DoNotWaitLongForWhatIsFrozen(t *testing.T) {
	t.Parallel()
	frozen := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-frozen }))
	defer server.Close()
	defer close(frozen)
	client, db := apiclient.Peer(server.URL, "", "inventory service", "INVENTORY"), database(t)
	s := notify.Sources{
		DB: db.Pool, Relay: &client, Letters: deadletter.NewStore(db.Pool), Consumers: map[string]*apiclient.Client{"inventory": &client},
		Services: map[string]func(context.Context) (string, error){"inventory": func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}},
	}
	var found []notify.Condition
	var asked []string
	var took time.Duration
	for range 3 { // a machine with much else to do may be slow once
		began := time.Now()
		found, asked = s.Find(t.Context())
		if took = time.Since(began); took < 8*time.Second {
			break
		}
	}
	require.Less(t, took, 8*time.Second)
	require.Contains(t, asked, "sagas")
	require.Len(t, found, 2, "the relay and inventory do not answer")
}

func TestSources_FindSagasAndRowsThatNeedAPerson(t *testing.T) {
	t.Parallel()
	db := database(t)
	_, err := db.Pool.Exec(t.Context(), `
insert into sagas (id, definition, version, phase, state, step, revision, steps, data, started_at, updated_at, deadline, trouble)
select 's' || n, 'order', 1, 'COMPENSATION_STUCK', 'COMPENSATION_STUCK', 'reserve', 1, '[]', '{}', now(), now() + n * interval '1 second', 'infinity', 'stuck'
  from generate_series(1, 3) n;
insert into sagas (id, definition, version, phase, state, step, revision, steps, data, started_at, updated_at, deadline)
values ('late', 'order', 1, 'RUNNING', 'RUNNING', 'confirm', 1, '[]', '{}', now(), now(), now() - interval '1 hour'),
       ('soon', 'order', 1, 'RUNNING', 'RUNNING', 'confirm', 1, '[]', '{}', now(), now(), now() + interval '1 hour')`)
	require.NoError(t, err)
	relay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, map[string]string{
			"/v1/outbox":              `{"databases":[{"database":"orders","stuck":2,"parked":7},{"database":"inventory"}]}`,
			"/v1/outbox/orders/stuck": `{"items":[{"id":812,"topic":"orders.v1","error":"the message is too large"}]}`,
			"/v1/dead-letters/groups": `{"groups":[{"topic":"inventory.commands.v1","type":"ReserveInventory","cause":"sku is too long","count":4,"waiting":9,"example":12}]}`,
			"/v1/sources":             `{"sources":[{"database":"orders"},{"database":"inventory","problem":"it does not answer"}]}`,
		}[r.URL.Path])
	}))
	defer relay.Close()
	client := apiclient.Flags{URL: relay.URL}.Client("relay", "RELAY")
	s := notify.Sources{
		DB: db.Pool, Relay: &client, Letters: deadletter.NewStore(db.Pool), Consumers: map[string]*apiclient.Client{"inventory": &client},
		Explain: func(_ context.Context, ref saga.Ref, _ time.Time) (explain.Report, error) {
			return explain.Report{Summary: "saga " + ref.String() + " waits", Advice: []string{"orchestrator saga retry --reason=again -- " + ref.ID}}, nil
		},
		Services: map[string]func(context.Context) (string, error){
			"orders": func(context.Context) (string, error) { return "consumer: blocked by pid 7", nil },
			"fine":   func(context.Context) (string, error) { return "", nil },
		},
	}
	found, asked := s.Find(t.Context())
	require.ElementsMatch(t, []string{
		"sagas", "outboxes", "sources", "service orders", "service fine", "dead letters of inventory", "dead letters of orchestrator",
	}, asked)
	byKey := map[string]notify.Condition{}
	for _, c := range found {
		byKey[c.Key] = c
	}
	require.Len(t, byKey, 6)
	letters := byKey["dead letters/inventory/inventory.commands.v1/ReserveInventory/sku is too long"]
	require.Equal(t, "inventory could not apply 4 messages of type ReserveInventory on inventory.commands.v1, and 9 later ones of the same keys wait: sku is too long", letters.Detail.Summary)
	stuck := byKey["sagas/in trouble/order@1/COMPENSATION_STUCK/reserve"]
	require.Equal(t, int64(3), stuck.Count)
	require.True(t, stuck.Urgent)
	require.Equal(t, "3 sagas of order@1 in COMPENSATION_STUCK at reserve. The one that has waited longest is s1: saga order/s1 waits", stuck.Detail.Summary)
	require.Contains(t, stuck.Detail.Commands, "orchestrator saga retry --reason=again -- s1")
	require.Equal(t, "late", byKey["sagas/overdue/order@1/RUNNING/confirm"].Detail.Example)
	require.Contains(t, byKey["outbox/orders"].Detail.Summary, "2 outbox rows of orders stuck, and 7 wait behind. The first is row 812 for topic orders.v1: the message is too large")
	require.Contains(t, byKey["outbox/orders"].Detail.Commands, "outbox-relay stuck retry --database=orders 812")
	require.Contains(t, byKey["source/inventory"].Detail.Summary, "it does not answer")
	require.Contains(t, byKey["service/orders"].Detail.Summary, "blocked by pid 7")
	require.NoError(t, s.Shard.UnmarshalText([]byte("1"))) // another orchestrator reports those of shard 0
	ofShard, _ := s.Find(t.Context())
	require.Len(t, ofShard, len(found)-2)
	for _, c := range ofShard {
		require.NotContains(t, []string{"outbox/orders", "source/inventory"}, c.Key)
	}
	checker := commandline.New(t)
	for _, c := range byKey {
		checker.Require(t, c.Detail.Commands...)
	}
}

// What does not answer is not over.
func TestSources_SayWhoCouldBeAsked(t *testing.T) {
	t.Parallel()
	client := apiclient.Flags{URL: "http://127.0.0.1:1"}.Client("relay", "RELAY")
	db := database(t)
	s := notify.Sources{DB: db.Pool, Relay: &client, Letters: deadletter.NewStore(db.Pool), Consumers: map[string]*apiclient.Client{"orders": &client}}
	found, asked := s.Find(t.Context())
	require.NotContains(t, asked, "outboxes")
	require.NotContains(t, asked, "dead letters of orders")
	require.Len(t, found, 1)
	require.Equal(t, "relay", found[0].Key)
}
