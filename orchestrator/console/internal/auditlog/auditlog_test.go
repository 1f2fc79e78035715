package auditlog

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/auditlog"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/session"
)

func as(role admin.Role) *page.Request {
	return &page.Request{Request: httptest.NewRequest("GET", "/", nil), Session: session.Session{Holder: admin.Holder{Name: "x", Role: role}}}
}

// The pages of logs that are read side by side hold each entry once, newest first, also where two
// were recorded at the same time.
func TestNewList_PagesHoldEachEntryOnce(t *testing.T) {
	t.Parallel()
	const each = 120
	at := time.Unix(1_700_000_000, 0)
	logs := map[string][]auditlog.Record{}
	for _, database := range []string{"orders", "inventory"} {
		for seq := int64(each); seq > 0; seq-- {
			logs[database] = append(logs[database], auditlog.Record{Seq: seq, At: at.Add(time.Duration(seq/3) * time.Second)})
		}
	}
	seen, pages := map[string]bool{}, 0
	for below := map[string]int64{}; ; pages++ {
		lists := map[string]answer{}
		for database, log := range logs {
			var a answer
			for _, r := range log {
				if seq := below[database]; seq == 0 || r.Seq < seq {
					a.Items = append(a.Items, r)
				}
			}
			if len(a.Items) > shown {
				a.Items, a.Next = a.Items[:shown], "more"
			}
			lists[database] = a
		}
		p := newList(as(admin.Reader), lists, below)
		for i, e := range p.Entries {
			name := fmt.Sprint(e.Database, e.Seq)
			require.False(t, seen[name], name)
			seen[name] = true
			require.True(t, i == 0 || !e.At.After(p.Entries[i-1].At))
		}
		if p.Next == "" {
			break
		}
		below = readCursor(p.Next)
	}
	require.Len(t, seen, 2*each)
	require.Equal(t, 4, pages, "five pages")
}

func TestNewEntry_ShowsWhatDiffersToThoseWhoMayReadIt(t *testing.T) {
	t.Parallel()
	record := auditlog.Located{Database: "orders", Record: auditlog.Record{
		Object: "outbox/17", Before: json.RawMessage(`{"status":"stuck","n":12345678901234567890}`), After: json.RawMessage(`{"n":12345678901234567890,"status":"discarded"}`),
	}}
	e := newEntry(as(admin.Reader), record)
	require.Equal(t, []change{{"status", `"stuck"`, `"discarded"`}}, e.Changes)
	e = newEntry(as(admin.Viewer), record)
	require.Empty(t, e.Changes)
	require.True(t, e.After.Masked())
	require.Empty(t, changes(json.RawMessage("null"), json.RawMessage("null")))
	require.Equal(t, []change{{"a", "", "1"}}, changes(json.RawMessage("null"), json.RawMessage(`{"a":1}`)))
}

func TestPath_IsWhereTheObjectIs(t *testing.T) {
	t.Parallel()
	for object, want := range map[string]string{
		"outbox/17": "/outbox/orders/rows/17", "outbox": "/outbox/orders", "replay/3": "/outbox/orders?show=replays", "job/4": "/batches/orders/4",
		"dead-letter/5": "/dead-letters/orders/5", "saga/order/4 7": "/sagas/order/4%207", "stock/burger": "", "": "",
	} {
		require.Equal(t, want, entry{Database: "orders", Object: object}.Path(), object)
	}
}

func TestFilter_RefusesWhatIsNoDuration(t *testing.T) {
	t.Parallel()
	query, err := filter(url.Values{"actor": {" ann "}, "since": {"1h"}}, time.Unix(7200, 0))
	require.NoError(t, err)
	require.Equal(t, "actor=ann&since=1970-01-01T01%3A00%3A00Z", query.Encode())
	_, err = filter(url.Values{"since": {"yesterday"}}, time.Now())
	require.Error(t, err)
}
