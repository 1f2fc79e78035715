package observability_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"github.com/stretchr/testify/require"
)

const (
	rulesFile = "rules.yaml"
	step      = time.Minute
)

// scenario is what a Prometheus has scraped, one sample a minute, and which alerts fire then.
type scenario struct {
	name  string
	load  string // in the notation of promtool: series, and values like 0+6x60
	after time.Duration
	fires []string // alerts that fire, with the label that distinguishes them
}

// Each alert has one line in which it fires; [TestRules_EveryAlertFiresInSomeScenario] demands it.
// Where a bound or a time is what matters, there is another in which it does not.
var scenarios = []scenario{
	{"nothing is wrong", healthy, time.Hour, nil},
	{"1 % late uses the budget up as planned", late(99), 2 * time.Hour, nil},
	{"every fifth order is late", late(80), 10 * time.Minute, []string{"OrdersEndLateFast"}},
	{"every fifth order is late for hours", late(80), 2 * time.Hour, []string{"OrdersEndLateFast", "OrdersEndLateSlowly"}},
	{"every tenth order is late for hours", late(90), 8 * time.Hour, []string{"OrdersEndLateSlowly"}},
	{
		"requests fail", `http_request_duration_seconds_count{job="orders",status="202"} 0+95x120
			http_request_duration_seconds_count{job="orders",status="503"} 0+5x120` + leads,
		2 * time.Hour,
		[]string{`RequestsFailFast{job="orders"}`},
	},
	{
		"clients' faults are not failures", `http_request_duration_seconds_count{job="orders",status="202"} 0+50x120
			http_request_duration_seconds_count{job="orders",status="422"} 0+50x120` + leads, 2 * time.Hour, nil,
	},
	{"a service is down", `up{job="orders",instance="a"} 1x5 0x10` + leads, 10 * time.Minute, []string{`TargetDown{instance="a",job="orders"}`}},
	{"a service restarts", `up{job="orders",instance="a"} 1x5 0 1x10` + leads, 6 * time.Minute, nil},
	{"another job is down", `up{job="node",instance="a"} 0x10` + leads, 10 * time.Minute, nil},
	{
		"a saga is stuck, and two orchestrators say so", `waybill_sagas_stuck{state="COMPENSATION_STUCK",instance="a"} 0x5 1x5
			waybill_sagas_stuck{state="COMPENSATION_STUCK",instance="b"} 0x5 1x5` + leads,
		10 * time.Minute,
		[]string{`SagasStuck{state="COMPENSATION_STUCK"}`},
	},
	{"sagas are overdue", `waybill_sagas_overdue 0x5 3x10` + leads, 10 * time.Minute, []string{"SagasOverdue"}},
	{"sagas are overdue for a moment", `waybill_sagas_overdue 0x5 3 0x10` + leads, 6 * time.Minute, nil},
	{"deadlines wait", `waybill_saga_deadlines_behind_seconds 0+60x10` + leads, 5 * time.Minute, []string{"DeadlinesWait"}},
	{
		"two things go by one id", `waybill_saga_start_conflicts_total{job="orchestrator"} 0x5 1x10` + leads,
		10 * time.Minute,
		[]string{`SagaStartConflict{job="orchestrator"}`},
	},
	{
		"no relay leads", `waybill_relay_leader{database="orders",instance="a"} 0x10
			waybill_relay_leader{database="orders",instance="b"} 0x10`, 5 * time.Minute, []string{`RelayHasNoLeader{database="orders"}`},
	},
	{
		"a leader and a standby", `waybill_relay_leader{database="orders",instance="a"} 1x10
			waybill_relay_leader{database="orders",instance="b"} 0x10`, 5 * time.Minute, nil,
	},
	{"no relay runs", `up{job="outbox-relay"} 1x10`, 5 * time.Minute, []string{"RelayIsAbsent"}},
	{"the broker is down", `waybill_relay_broker_up{database="orders"} 0x10` + leads, 6 * time.Minute, []string{`BrokerUnavailable{database="orders"}`}},
	{"the broker restarts", `waybill_relay_broker_up{database="orders"} 0x3 1x10` + leads, 6 * time.Minute, nil},
	{
		"rows wait", `waybill_relay_oldest_pending_seconds{database="orders"} 0+60x10` + leads,
		4 * time.Minute,
		[]string{`OutboxRowsWait{database="orders"}`},
	},
	{
		"the broker takes no rows", `waybill_relay_oldest_in_flight_seconds{database="orders"} 0+60x10` + leads,
		4 * time.Minute,
		[]string{`BrokerTakesNoRows{database="orders"}`},
	},
	{
		"rows are stuck", `waybill_relay_stuck_rows{database="orders",state="stuck"} 1x10
			waybill_relay_stuck_rows{database="orders",state="parked"} 7x10` + leads, 4 * time.Minute, []string{`OutboxRowsStuck{database="orders"}`},
	},
	{"a row came late", `waybill_relay_late_rows_total{database="orders"} 0x5 1x10` + leads, 8 * time.Minute, []string{`RowsCameLate{database="orders"}`}},
	{
		"the clock jumped", `waybill_relay_retention_clock_behind_seconds{database="orders"} 86400x10` + leads,
		8 * time.Minute,
		[]string{`DatabaseClockJumped{database="orders"}`},
	},
	{
		"vacuum is held back", `waybill_relay_oldest_xmin_seconds{database="orders"} 3590+60x10` + leads,
		8 * time.Minute,
		[]string{`VacuumHeldBack{database="orders"}`},
	},
	{
		"a consumer is blocked", `waybill_consumer_blocked_seconds{job="inventory",reason="lock"} 0+20x10` + leads,
		3 * time.Minute,
		[]string{`ConsumerBlocked{job="inventory",reason="lock"}`},
	},
	{
		"a consumer has ended", `waybill_consumer_up{job="orders",instance="a"} 0x10` + leads,
		3 * time.Minute,
		[]string{`ConsumerEnded{instance="a",job="orders"}`},
	},
	{
		"a group is not formed", `waybill_consumer_unassigned_seconds{job="orders"} 0+40x10` + leads,
		3 * time.Minute,
		[]string{`ConsumerUnassigned{job="orders"}`},
	},
	{
		"a consumer falls behind", `waybill_consumer_lag_messages{job="orders",topic="orders.commands.v1",partition="0"} 0+500x20` + leads,
		15 * time.Minute,
		[]string{`ConsumerFallsBehind{job="orders",topic="orders.commands.v1"}`},
	},
	{"a consumer catches up", `waybill_consumer_lag_messages{job="orders",topic="t",partition="0"} 50000-500x20` + leads, 15 * time.Minute, nil},
	{
		"a dead letter", `waybill_dead_letters{job="inventory",consumer="inventory",topic="inventory.commands.v1"} 1x10` + leads,
		3 * time.Minute,
		[]string{`DeadLetters{consumer="inventory",job="inventory",topic="inventory.commands.v1"}`},
	},
	{
		"messages conflict", `waybill_inbox_messages_total{job="orders",outcome="conflict"} 0x3 1x10
			waybill_inbox_messages_total{job="orders",outcome="duplicate"} 0+5x13` + leads,
		5 * time.Minute,
		[]string{`MessagesConflict{job="orders"}`},
	},
	{
		"a database was behind", `waybill_consumer_reread_messages_total{job="orders"} 0x3 120x10` + leads,
		5 * time.Minute,
		[]string{`MessagesReadAgain{job="orders"}`},
	},
	{
		"Kafka has lost what a database lacked", `waybill_consumer_expired_messages_total{job="orders"} 13x10` + leads,
		2 * time.Minute,
		[]string{`MessagesExpired{job="orders"}`},
	},
	{"tokens are tried out", `waybill_admin_refused_total{job="orders"} 0+30x20` + leads, 15 * time.Minute, []string{`TokensRefused{job="orders"}`}},
	{"one wrong token", `waybill_admin_refused_total{job="orders"} 0x5 1x20` + leads, 15 * time.Minute, nil},
	{"nobody takes notifications", `waybill_notifications_total{outcome="given_up"} 0x5 1x20` + leads, 15 * time.Minute, []string{"NotificationsGivenUp"}},
	{"the audit found something", `waybill_audit_findings{check="stock"} 1x5` + leads, 3 * time.Minute, []string{`AuditFindings{check="stock"}`}},
	{"the audit does not run", `waybill_audit_last_pass_timestamp_seconds 0x40` + leads, 30 * time.Minute, []string{"AuditDoesNotRun"}},
}

const (
	// leads is a relay that leads: without one, RelayIsAbsent fires.
	leads   = "\nwaybill_relay_leader{database=\"orders\",instance=\"a\"} 1x600"
	healthy = `up{job="orders",instance="a"} 1x600
		waybill_saga_seconds_bucket{definition="order",le="1.024"} 0+100x600
		waybill_saga_seconds_count{definition="order"} 0+100x600
		waybill_sagas_stuck{state="SUSPENDED"} 0x600
		waybill_sagas_overdue 0x600
		waybill_relay_broker_up{database="orders"} 1x600
		waybill_relay_stuck_rows{database="orders",state="stuck"} 0x600
		waybill_relay_oldest_pending_seconds{database="orders"} 1x600
		waybill_consumer_up{job="orders",instance="a"} 1x600
		waybill_dead_letters{job="orders",consumer="orders",topic="t"} 0x600` + leads
)

// late is a hundred orders a minute, of which some end in time.
func late(inTime int) string {
	return fmt.Sprintf(`waybill_saga_seconds_bucket{definition="order",le="1.024"} 0+%dx600
		waybill_saga_seconds_count{definition="order"} 0+100x600%s`, inTime, leads)
}

func TestRules_FireWhenTheyShouldAndNotBefore(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			require.ElementsMatch(t, s.fires, firing(t, s))
		})
	}
}

func TestRules_EveryAlertFiresInSomeScenario(t *testing.T) {
	t.Parallel()
	fires := strings.Builder{}
	for _, s := range scenarios {
		fires.WriteString(strings.Join(s.fires, " ") + " ")
	}
	for _, r := range load(t) {
		if r.Alert != "" {
			require.Contains(t, fires.String(), r.Alert)
		}
	}
}

// An alert at 3 a.m. has to say where it is written what to do.
func TestRules_EveryAlertNamesAChapterThatExists(t *testing.T) {
	t.Parallel()
	for _, r := range load(t) {
		if r.Alert == "" {
			continue
		}
		file, anchor, _ := strings.Cut(r.Annotations["runbook"], "#")
		text, err := os.ReadFile("../../" + file)
		require.NoError(t, err, r.Alert)
		if anchor != "" {
			require.Contains(t, anchors(string(text)), anchor, r.Alert)
		}
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		require.Contains(t, []string{"page", "ticket"}, r.Labels["severity"], r.Alert)
	}
}

// anchors returns the anchors of a page's headings, as GitHub makes them.
func anchors(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		if heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			found = append(found, strings.Map(func(r rune) rune {
				switch {
				case r == ' ':
					return '-'
				case r == '-' || r == '_' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
					return r
				}
				return -1
			}, strings.ToLower(strings.TrimSpace(heading))))
		}
	}
	return found
}

func load(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(rulesFile, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	var all []rulefmt.Rule
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// firing evaluates the rules every minute, as Prometheus does, and returns the alerts that fire at
// the end.
func firing(t *testing.T, s scenario) []string {
	t.Helper()
	storage := promqltest.LoadedStorage(t, "load 1m\n"+indented(s.load))
	t.Cleanup(func() { _ = storage.Close() })
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(engine, storage), AppendableV2: storage, Queryable: storage,
		Context: t.Context(), Logger: slog.New(slog.DiscardHandler), Parser: parser.NewParser(parser.Options{}),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
	})
	groups, errs := manager.LoadGroups(step, labels.EmptyLabels(), "", nil, false, rulesFile)
	require.Empty(t, errs)
	var found []string
	for at := time.Unix(0, 0); !at.After(time.Unix(0, 0).Add(s.after)); at = at.Add(step) {
		for _, name := range []string{"waybill-objectives", "waybill-alerts"} {
			groups[rules.GroupKey(rulesFile, name)].Eval(t.Context(), at)
		}
	}
	for _, r := range groups[rules.GroupKey(rulesFile, "waybill-alerts")].AlertingRules() {
		require.NoError(t, r.LastError(), r.Name())
		for _, a := range r.ActiveAlerts() {
			if a.State == rules.StateFiring {
				found = append(found, r.Name()+distinguishing(a.Labels))
			}
		}
	}
	return found
}

// indented puts each series on a line of its own, as the notation demands.
func indented(series string) string {
	var b strings.Builder
	for line := range strings.Lines(series) {
		b.WriteString("  " + strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

// distinguishing are the labels of an alert that its rule does not set.
func distinguishing(l labels.Labels) string {
	b := labels.NewBuilder(l).Del("alertname", "severity")
	if rest := b.Labels(); rest.Len() > 0 {
		return strings.ReplaceAll(rest.String(), ", ", ",")
	}
	return ""
}
