package deadletters

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	api "waybill.example/chassis/deadletters"
	"waybill.example/chassis/masking"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/session"
)

func as(role admin.Role) *page.Request {
	return &page.Request{Request: httptest.NewRequest("GET", "/", nil), Session: session.Session{Holder: admin.Holder{Name: "x", Role: role}}}
}

func TestNewGroups_TheLargestOfAllServicesComesFirst(t *testing.T) {
	t.Parallel()
	hour := make([]int64, 24)
	hour[23] = 4
	p := newGroups(map[string]groupsAnswer{
		"orders":    {[]api.DeadLetterGroup{{Cause: "b", Count: 2, Waiting: 3}, {Cause: "a", Count: 9, Hourly: hour}}},
		"inventory": {[]api.DeadLetterGroup{{Cause: "c & d", Count: 5, Topic: "t"}}},
	})
	require.Equal(t, []string{"a", "c & d", "b"}, []string{p.Groups[0].Cause, p.Groups[1].Cause, p.Groups[2].Cause})
	require.Equal(t, int64(16), p.Letters)
	require.Equal(t, int64(3), p.Waiting)
	require.Equal(t, int64(4), p.Recent)
	require.Equal(t, []string{"inventory", "orders"}, p.Services)
	require.Contains(t, p.Groups[0].Spark(), "4 in the last 24 hours")
	require.Equal(t, "?cause=c+%26+d&service=inventory&topic=t", p.Groups[1].Query())
}

func TestNewList_NewestFirstAndMaskedForViewers(t *testing.T) {
	t.Parallel()
	at := time.Now()
	answers := map[string]listAnswer{
		"orders":    {DeadLetters: []api.DeadLetter{{ID: 2, SetAsideAt: at.Add(-time.Minute), Key: "secret", Reason: "order secret", Cause: "order …"}}, Next: "c"},
		"inventory": {DeadLetters: []api.DeadLetter{{ID: 9, SetAsideAt: at}}},
	}
	p := newList(as(admin.Viewer), answers)
	require.Equal(t, int64(9), p.Letters[0].ID)
	require.Equal(t, page.Masked, p.Letters[1].Key)
	require.Equal(t, page.Masked, p.Letters[1].Reason)
	require.Equal(t, "order …", p.Letters[1].Cause)
	require.Equal(t, "secret", newList(as(admin.Reader), answers).Letters[1].Key)
}

// What a viewer may not see cannot be found out by filtering either.
func TestMayFilter_NotByWhatIsMasked(t *testing.T) {
	t.Parallel()
	for query, role := range map[string]admin.Role{"": admin.Viewer, "?topic=t&cause=c": admin.Viewer, "?reason=s": admin.Reader, "?key=17": admin.Reader} {
		for _, who := range []admin.Role{admin.Viewer, admin.Reader} {
			r := as(who)
			r.Request = httptest.NewRequest("GET", "/dead-letters/all"+query, nil)
			require.Equal(t, who >= role, mayFilter(r) == nil, "%s %s", who, query)
		}
	}
}

func TestLetter_SaysWhyItCannotBeChanged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		state           string
		whole           bool
		redrive, change string
	}{
		{"dead", true, "", ""},
		{"dead", false, "was cut", ""},
		{"parked", true, "in front of it", ""},
		{"redriven", true, "redriven already", "redriven already"},
		{"superseded", true, "superseded already", "superseded already"},
	} {
		p := newLetter(as(admin.Admin), "orders", api.DeadLetterDetail{DeadLetter: api.DeadLetter{State: c.state, Whole: c.whole}})
		require.Contains(t, p.CannotRedrive(), c.redrive)
		require.Equal(t, c.redrive == "", p.CannotRedrive() == "")
		require.Contains(t, p.CannotChange(), c.change)
		require.Equal(t, c.change == "", p.CannotChange() == "")
	}
}

// Headers of CloudEvents tell where a message stands; others may carry anything.
func TestLetter_HeadersAreMaskedForViewers(t *testing.T) {
	t.Parallel()
	headers := func() []api.DeadLetterHeader {
		return []api.DeadLetterHeader{{Key: "ce_type", Value: "T"}, {Key: "ce_subject", Value: "s"}, {Key: "note", Value: "n"}}
	}
	p := newLetter(as(admin.Viewer), "orders", api.DeadLetterDetail{Headers: headers(), Payload: (*masking.Rules)(nil).Saga(admin.Admin, "", []byte(`{"a":1}`))})
	require.Equal(t, []string{"T", page.Masked, page.Masked}, []string{p.Headers[0].Value, p.Headers[1].Value, p.Headers[2].Value})
	require.True(t, p.Payload.Masked())
	p = newLetter(as(admin.Reader), "orders", api.DeadLetterDetail{Headers: headers()})
	require.Equal(t, "n", p.Headers[2].Value)
}

func TestDiff_ShowsTheLinesThatDiffer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ before, after, want string }{
		{"a\nb\nc", "a\nb\nc", " a| b| c"},
		{"a\nb\nc", "a\nx\nc", " a|-b|+x| c"},
		{"a\nc", "a\nb\nc", " a|+b| c"},
		{"a\na\na", "a\na", " a| a|-a"},
		{"a\nb\nc\nd", "b\nx\nd", "-a| b|-c|+x| d"},
		{"", "a", "-|+a"},
	} {
		var got []string
		for _, l := range diff(c.before, c.after) {
			got = append(got, l.Kind+l.Text)
		}
		require.Equal(t, c.want, strings.Join(got, "|"))
	}
}

// However long the texts: what both begin and end with costs nothing, and the rest is bounded.
func TestDiff_IsBounded(t *testing.T) {
	t.Parallel()
	before := strings.Repeat("a\n", 100_000)
	require.Len(t, diff(before+"x\n"+before, before+"y\n"+before), 200_003)
	odd, even := strings.Repeat("a\nb\n", 5_000), strings.Repeat("c\nd\n", 5_000)
	require.Len(t, diff(odd, even), 20_001)
}

func TestIndented_ChangesNoNumber(t *testing.T) {
	t.Parallel()
	require.Equal(t, "{\n  \"a\": 12345678901234567890,\n  \"b\": 1.0e400\n}", indented([]byte(`{"a":12345678901234567890,"b":1.0e400}`)))
	require.Equal(t, "not JSON", indented([]byte("not JSON")))
}
