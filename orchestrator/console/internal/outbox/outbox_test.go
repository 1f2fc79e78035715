package outbox

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/session"
)

// as is a request of a person with a role.
func as(role admin.Role, url string) *page.Request {
	return &page.Request{Request: httptest.NewRequest("GET", url, nil), Session: session.Session{Holder: admin.Holder{Name: "x", Role: role}}}
}

func TestJudge_SaysTheWorstFirst(t *testing.T) {
	t.Parallel()
	now := time.Now()
	old := now.Add(-time.Minute)
	led := func(o overview) overview { o.Leader = "relay-1"; return o }
	for _, c := range []struct {
		overview
		relaySource
		level, text string
	}{
		{led(overview{}), relaySource{}, "good", "Everything is published"},
		{led(overview{Pending: 2, OldestPending: &now}), relaySource{}, "good", "2 rows on their way"},
		{led(overview{Pending: 2, OldestPending: &old}), relaySource{}, "warn", "longer than"},
		{led(overview{Stuck: 1, Pending: 2, OldestPending: &old}), relaySource{}, "bad", "1 row stuck; others go on"},
		{led(overview{Stuck: 1, Parked: 3}), relaySource{}, "bad", "waiting behind: 3 rows"},
		{overview{}, relaySource{}, "bad", "No relay"},
		{led(overview{Paused: true, Pending: 1}), relaySource{}, "warn", "1 row waits"},
		{led(overview{Pending: 1}), relaySource{BrokerProblem: "no route"}, "bad", "wait for the broker: no route"},
		{led(overview{Stuck: 1}), relaySource{Problem: "the login was refused"}, "bad", "the login was refused"},
	} {
		v := judge(c.overview, c.relaySource, now)
		require.Equal(t, c.level, v.Level, v.Text)
		require.Contains(t, v.Text, c.text)
	}
}

func TestGroupedWithin_TakesAHundredthOfAProcessorAtMost(t *testing.T) {
	t.Parallel()
	require.Equal(t, time.Second, groupedWithin(overview{}))
	require.Equal(t, time.Second, groupedWithin(overview{Stuck: 1}))
	for _, rows := range []int64{1_000, 10_000, 40_000} {
		takes := time.Duration(rows) * 13 * time.Microsecond
		require.LessOrEqual(t, takes*100, groupedWithin(overview{Stuck: rows / 4, Parked: rows * 3 / 4}), rows)
	}
	require.Equal(t, time.Minute, groupedWithin(overview{Parked: 100_000_000}))
}

func TestChoose_ReadsWhatPeopleType(t *testing.T) {
	t.Parallel()
	form := func(values map[string]string) func(string) string {
		return func(name string) string { return values[name] }
	}
	c, err := choose(form(map[string]string{"from": " 7 ", "key": "k ", "since": "15m", "until": "2026-11-26T09:30"}))
	require.NoError(t, err)
	require.Equal(t, int64(7), *c.FromID)
	require.Nil(t, c.ToID)
	require.Equal(t, "k ", c.Key, "a key is not trimmed")
	require.WithinDuration(t, time.Now().Add(-15*time.Minute), *c.Since, time.Minute)
	require.Equal(t, "2026-11-26T09:30:00Z", c.Until.Format(time.RFC3339))
	require.Equal(t, defaultRate, c.Rate)
	for name, text := range map[string]string{"from": "x", "since": "yesterday", "until": "-5m", "rate": "0"} {
		_, err := choose(form(map[string]string{name: text}))
		var invalid page.Invalid
		require.ErrorAs(t, err, &invalid, name)
	}
}

// A viewer sees that there is a payload and a key, and not what is in them; nor does the JSON of
// the page have it.
func TestRow_IsMaskedForViewers(t *testing.T) {
	t.Parallel()
	key := "ann@example.com"
	found := row{listed: listed{ID: 1, Key: &key, Status: "stuck", Error: "too large"}, Payload: []byte(`{"secret":12345678901234567890}`), Headers: []byte(`{"h":"secret"}`)}
	p := shownRow(as(admin.Viewer, "/"), "orders", found)
	require.Equal(t, page.Masked, *p.Key)
	require.True(t, p.Payload.Masked())
	require.True(t, p.Headers.Masked())
	found.Key = &key
	p = shownRow(as(admin.Reader, "/"), "orders", found)
	require.Equal(t, `{"secret":12345678901234567890}`, p.Payload.String())
	require.Equal(t, `"stuck-0"`, p.Version)
	found.Payload = []byte{0xff, 0x00}
	require.True(t, shownRow(as(admin.Reader, "/"), "orders", found).Binary)
}
