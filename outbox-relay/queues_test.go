package main

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What is stuck is looked at by what is wrong, and with what waits for it; and one cause can be
// retried without the others.
func TestHTTP_StuckRowsByErrorWithWhatWaitsForThem(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	_, err := p.db.Pool.Exec(t.Context(), `insert into outbox (topic, key, type, payload) values
		('missing.v1', '17', 'T', '{}'), ('missing.v1', '18', 'T', '{}'), ('orders.v1', '17', 'T', '{}')`)
	require.NoError(t, err)
	base := p.serve(t, "RELAY_ADMIN_TOKENS=ada="+ada) + "/v1/outbox/orders"
	look := func(path string, into any) {
		t.Helper()
		status, body := get(t, base+path)
		require.Equal(t, http.StatusOK, status, body)
		require.NoError(t, json.Unmarshal([]byte(body), into))
	}
	type group struct {
		Topic, ErrorCode, Error string
		Example                 int64
		Rows, ParkedBehind      int64
		FirstStuck, LastStuck   time.Time
	}
	var groups struct{ Groups []group }
	await(t, func() bool { look("/stuck/groups", &groups); return len(groups.Groups) == 1 }, "a group of stuck rows")
	g := groups.Groups[0]
	require.Equal(t, "missing.v1", g.Topic)
	require.Equal(t, "UNKNOWN_TOPIC", g.ErrorCode)
	require.NotEmpty(t, g.Error)
	require.Positive(t, g.Example)

	var parked struct {
		Items []struct {
			ID       int64
			WaitsFor *int64
		}
	}
	look("/parked", &parked)
	require.Equal(t, int64(2), g.Rows+int64(len(parked.Items)), "each row of the topic is stuck, or waits: %+v %+v", g, parked)
	require.Equal(t, int64(len(parked.Items)), g.ParkedBehind)
	for _, row := range parked.Items {
		require.NotNil(t, row.WaitsFor)
		require.Less(t, *row.WaitsFor, row.ID)
	}

	var rows struct {
		Items []struct {
			ID     int64
			Status string
		}
		Next string
	}
	await(t, func() bool { look("/rows?limit=2", &rows); return rows.Items[0].Status == "published" }, "the row of the other topic to be published")
	require.Equal(t, int64(3), rows.Items[0].ID)
	require.NotEmpty(t, rows.Next)
	look("/rows?limit=2&cursor="+rows.Next, &rows)
	require.Len(t, rows.Items, 1)
	require.Contains(t, []string{"stuck", "parked"}, rows.Items[0].Status)

	for query, want := range map[string]int64{"topic=orders.v1": 0, "errorCode=MESSAGE_TOO_LARGE": 0, "topic=missing.v1&errorCode=" + g.ErrorCode: g.Rows} {
		response, body := send(t, http.MethodPost, base+"/stuck/retry?"+query, "")
		require.Equal(t, http.StatusOK, response.StatusCode, body)
		var retried struct{ Rows, Refused, Waiting int64 }
		require.NoError(t, json.Unmarshal([]byte(body), &retried))
		require.Equal(t, want, retried.Rows, query)
		require.Equal(t, want, retried.Refused+retried.Waiting, query)
	}
}
