package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const ada = "correct-horse-battery"

// send sends a request with a token and, if there is one, an If-Match.
func send(t *testing.T, method, url, ifMatch string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(`{"reason":"test"}`))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+ada)
	if ifMatch != "" {
		request.Header.Set("If-Match", ifMatch)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(body)
}

func etagOf(t *testing.T, url string) string {
	t.Helper()
	response, body := send(t, http.MethodGet, url, "")
	require.Equal(t, http.StatusOK, response.StatusCode, body)
	require.NotEmpty(t, response.Header.Get("ETag"))
	return response.Header.Get("ETag")
}

// What an operator looked at and decided on may have changed by the time that they act.
func TestHTTP_IfMatchOfAnotherStateChangesNothing(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	_, err := p.db.Pool.Exec(t.Context(), `insert into outbox (topic, key, type, payload) values ('missing.v1', '17', 'T', '{}')`)
	require.NoError(t, err)
	base := p.serve(t, "RELAY_ADMIN_TOKENS=ada="+ada) + "/v1/outbox/orders"
	await(t, func() bool {
		_, body := get(t, base+"/stuck")
		return strings.Contains(body, "UNKNOWN_TOPIC")
	}, "the row to be stuck")
	refused := func(path, ifMatch string, status int) {
		t.Helper()
		response, body := send(t, http.MethodPost, base+path, ifMatch)
		require.Equal(t, status, response.StatusCode, body)
	}

	running := etagOf(t, base+"/pause")
	refused("/resume", `"paused-by-somebody"`, http.StatusPreconditionFailed)
	refused("/pause", `"paused-by-somebody"`, http.StatusPreconditionFailed)
	require.Equal(t, running, etagOf(t, base+"/pause"))
	response, body := send(t, http.MethodPost, base+"/pause", running)
	require.Equal(t, http.StatusOK, response.StatusCode, body)
	refused("/resume", running, http.StatusPreconditionFailed)
	refused("/pause", strings.Trim(running, `"`), http.StatusBadRequest)
	response, body = send(t, http.MethodPost, base+"/resume", running+", "+etagOf(t, base+"/pause"))
	require.Equal(t, http.StatusOK, response.StatusCode, body)

	for _, verb := range []string{"/retry", "/discard"} {
		refused("/rows/1"+verb, `"stuck-0"`, http.StatusPreconditionFailed)
		refused("/rows/1"+verb, `"published"`, http.StatusPreconditionFailed)
		refused("/rows/1"+verb, `"stuck-0", "published"`, http.StatusPreconditionFailed)
		refused("/rows/1"+verb, `*, "stuck-1"`, http.StatusBadRequest)
	}
	require.Contains(t, etagOf(t, base+"/rows/1"), "stuck-")
	response, body = send(t, http.MethodPost, base+"/rows/1/discard", "*")
	require.Equal(t, http.StatusOK, response.StatusCode, body)
	_, body = get(t, base+"/audit-log")
	require.Equal(t, 3, strings.Count(body, `"action"`), "a pause, a resume, a discard, and nothing that was refused: %s", body)
}

func TestHTTP_AuditLogHasPagesInBothOrders(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	relay := p.serve(t, "RELAY_ADMIN_TOKENS=ada="+ada)
	for _, verb := range []string{"pause", "resume", "pause", "resume", "pause"} {
		response, body := send(t, http.MethodPost, relay+"/v1/outbox/orders/"+verb, "")
		require.Equal(t, http.StatusOK, response.StatusCode, body)
	}
	for query, want := range map[string][]int64{
		"limit=2":                              {5, 4, 3, 2, 1},
		"limit=2&order=oldest":                 {1, 2, 3, 4, 5},
		"limit=1&order=oldest&after=3":         {4, 5},
		"limit=1&before=4&after=1":             {3, 2},
		"limit=2&action=outbox.resume":         {4, 2},
		"limit=1&action=outbox.pause&before=5": {3, 1},
		"limit=5":                              {5, 4, 3, 2, 1},
	} {
		var found []int64
		for path := "/v1/outbox/orders/audit-log?" + query; path != ""; {
			response, body := send(t, http.MethodGet, relay+path, "")
			require.Equal(t, http.StatusOK, response.StatusCode, body)
			var page struct {
				Items []struct{ Seq int64 }
				Next  string
			}
			require.NoError(t, json.Unmarshal([]byte(body), &page))
			for _, item := range page.Items {
				found = append(found, item.Seq)
			}
			link := response.Header.Get("Link")
			require.Equal(t, page.Next != "", link != "")
			path = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		}
		require.Equal(t, want, found, query)
	}
}
