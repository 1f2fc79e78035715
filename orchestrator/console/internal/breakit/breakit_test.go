package breakit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/orchestrator/console/internal/page"
)

func TestButtons_SayWhyTheyCannotBeHad(t *testing.T) {
	t.Parallel()
	can := func(name, state string) (all []string) {
		for _, b := range buttons(process{Name: name, State: state}) {
			if b.Why == "" {
				all = append(all, b.Action)
			}
		}
		return all
	}
	require.Equal(t, []string{"kill", "freeze", "stop"}, can("orders", "running"))
	require.Equal(t, []string{"kill", "thaw", "stop"}, can("orders", "frozen"))
	require.Equal(t, []string{"start"}, can("orders", "stopped"))
	require.Empty(t, can("postgres", "not ours"))
	require.Empty(t, can("orchestrator", "running"), "a console cannot be asked to come back")
}

func TestNews_IsWhatIsDifferent(t *testing.T) {
	t.Parallel()
	well := sight{says: map[string]string{"orders": "", "outbox-relay": ""}, leaders: map[string]string{"orders": "a"}}
	down := sight{says: map[string]string{"orders": "", "outbox-relay": "is stopped"}, leaders: map[string]string{}, pending: -1}
	waits := sight{says: map[string]string{"orders": "", "outbox-relay": ""}, leaders: map[string]string{"orders": "b"}, pending: 7}
	require.Empty(t, news(sight{}, well, true))
	require.Equal(t, []string{"outbox-relay is stopped"}, news(sight{}, down, true))
	require.Empty(t, news(down, down, false))
	require.Equal(t, []string{"outbox-relay is ready", "pending in the outboxes: 7"}, news(down, waits, false))
	require.Equal(t, []string{"another relay leads orders: a", "nothing waits in the outboxes any more"}, news(waits, well, false))
	unled := sight{leaders: map[string]string{"orders": ""}}
	require.Equal(t, []string{"no relay leads orders"}, news(sight{leaders: well.leaders}, unled, false))
	require.Equal(t, []string{"a relay leads orders again: a"}, news(unled, sight{leaders: well.leaders}, false))
	require.True(t, well.well())
	require.False(t, down.well())
	require.False(t, waits.well())
}

func TestWatches_ANewOneEndsThoseBefore(t *testing.T) {
	t.Parallel()
	all := &watches{}
	first := all.begin("ann", "kill", "orders", time.Now())
	for range maxWatches {
		all.begin("ann", "freeze", "orders", time.Now())
	}
	require.True(t, first.over())
	views := all.all()
	require.Len(t, views, maxWatches)
	require.False(t, views[0].Over)
	require.True(t, views[1].Over)
}

// The report is a page of its own, whose styles the policy names one by one.
func TestReport_IsServedWithAPolicyOfItsOwn(t *testing.T) {
	t.Parallel()
	s := screen{dir: t.TempDir()}
	require.Nil(t, findReport(s.dir))
	require.Error(t, s.report(httptest.NewRecorder(), &page.Request{Request: httptest.NewRequest("GET", "/", nil)}))
	const style = "body { color: red }"
	require.NoError(t, os.WriteFile(reportFile(s.dir), []byte("<title>Waybill failure drills: 3 of 3 passed</title><style>"+style+"</style>"), 0o600))
	require.Equal(t, "failure drills: 3 of 3 passed", findReport(s.dir).Title)
	w := httptest.NewRecorder()
	require.NoError(t, s.report(w, &page.Request{Request: httptest.NewRequest("GET", "/", nil)}))
	hash := sha256.Sum256([]byte(style))
	policy := w.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "style-src 'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'")
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "unsafe")
}

func TestUnready_SaysWhatIsTheMatter(t *testing.T) {
	t.Parallel()
	require.Equal(t, "broker: no route; postgres: refused", unready([]byte(`{"checks":{"postgres":"refused","broker":"no route","x":"ok"}}`)))
	require.Equal(t, "is not ready", unready([]byte("<html>")))
}

func TestIsServer_AlsoOneOfSeveral(t *testing.T) {
	t.Parallel()
	for name, is := range map[string]bool{"broker": true, "broker-1": true, "postgres": true, "outbox-relay": false, "orders": false} {
		require.Equal(t, is, isServer(name), name)
	}
}

// After a crash of Postgres the relay counts ids that were skipped, until later ones are published.
// Nothing waits then, and a watch that waited for them to go would not end.
func TestWaiting_CountsNoIdsWithoutRows(t *testing.T) {
	t.Parallel()
	var found outboxes
	require.NoError(t, json.Unmarshal([]byte(`{"databases":[{"database":"orders","pending":30,"oldestPending":null},{"database":"inventory","pending":2,"oldestPending":"2026-01-02T10:03:00Z"}]}`), &found))
	require.Equal(t, int64(2), found.waiting())
}

// A frozen process is not asked, so that a page with one is there as soon as any.
func TestReadiness_AFrozenProcessIsSilentAndNotAsked(t *testing.T) {
	t.Parallel()
	asked := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
	t.Cleanup(asked.Close)
	s := newStack(t.TempDir())
	require.Equal(t, "does not answer", s.readiness(t.Context(), process{Name: "orders", State: "frozen", Addr: asked.Listener.Addr().String()}))
	require.Empty(t, s.readiness(t.Context(), process{Name: "orders", State: "stopped", Addr: asked.Listener.Addr().String()}))
}
