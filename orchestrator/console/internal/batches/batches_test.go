package batches

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/jobs"
	"waybill.example/orchestrator/console/internal/outbox"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/session"
)

func TestBatch_SaysWhatItDoesAndWhereItsItemsAre(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, item, what, link string }{
		{"saga.retry", "order/47 11", "retry sagas", "/sagas/order/47%2011"},
		{"dead-letter.redrive", "17", "redrive dead letters", "/dead-letters/orders/17"},
		{"saga.cancel", "no path", "cancel sagas", ""},
		{"other", "x", "other", ""},
	} {
		b := batch{"orders", jobs.Job{Kind: c.kind}}
		require.Equal(t, c.what, b.What())
		require.Equal(t, c.link, b.Link(c.item))
	}
}

func TestMasked_ViewersDoNotSeeTheFilter(t *testing.T) {
	t.Parallel()
	job := jobs.Job{Parameters: json.RawMessage(`{"filter":{"attributes":{"user":"ann"}}}`)}
	as := func(role admin.Role) *page.Request {
		return &page.Request{Request: httptest.NewRequest("GET", "/", nil), Session: session.Session{Holder: admin.Holder{Role: role}}}
	}
	require.Empty(t, masked(as(admin.Viewer), job).Parameters)
	require.NotEmpty(t, masked(as(admin.Reader), job).Parameters)
}

func TestList_NewestFirstAndCountsWhatRuns(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := listPage{
		Batches: []batch{{"orders", jobs.Job{ID: 1, State: jobs.Finished, CreatedAt: now.Add(-time.Hour)}}, {"inventory", jobs.Job{ID: 2, State: jobs.Paused, CreatedAt: now}}},
		Replays: []outbox.Replay{{ID: 1, State: "done", RequestedAt: now.Add(-time.Minute)}, {ID: 2, State: "running", RequestedAt: now}},
	}
	p.sort()
	require.Equal(t, int64(2), p.Batches[0].ID)
	require.Equal(t, int64(2), p.Replays[0].ID)
	require.Equal(t, 2, p.Running)
}
