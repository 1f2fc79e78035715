package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func answering(t *testing.T, answers http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(answers)
	t.Cleanup(server.Close)
	return server.URL
}

// One service that is down at three in the morning hides nothing of the others.
func TestDlq_ShowsWhatOtherServicesHaveWhereOneIsDown(t *testing.T) {
	t.Parallel()
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/groups") {
			fmt.Fprint(w, `{"groups":[{"topic":"t","type":"T","cause":"sku is too long","count":3,"hourly":[1]}]}`)
			return
		}
		fmt.Fprint(w, `{"deadLetters":[{"id":7,"state":"dead","key":"17","reason":"sku is too long"}],"next":"abc"}`)
	})
	services := []string{"--orders-url", "http://127.0.0.1:1", "--inventory-url", url, "--orchestrator-url", url}
	for _, verb := range []string{"list", "groups"} {
		out, err := runLine(t, append([]string{"dlq", verb}, services...)...)
		require.EqualError(t, err, "no order service answers at http://127.0.0.1:1; start it, or set ORDERS_URL")
		require.Equal(t, 2, strings.Count(out, "sku is too long"), out)
		require.Equal(t, verb == "list", strings.Contains(out, "There are more"))
		out, err = runLine(t, append([]string{"dlq", verb, "--json"}, services...)...)
		require.Error(t, err)
		var all []struct{ Service string }
		require.NoError(t, json.Unmarshal([]byte(out), &all))
		require.Len(t, all, 2)
		require.Equal(t, "inventory", all[0].Service)
	}
}

// What an export has is what the service exports, page by page: others come in at its front
// meanwhile.
func TestDlqExport_GoesOnWhereThePageOfTheExportEnded(t *testing.T) {
	t.Parallel()
	var asked []string
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+" "+r.URL.Query().Get("cursor"))
		if r.URL.Query().Get("cursor") == "" {
			w.Header().Set("Waybill-Next", "second")
		}
		fmt.Fprintf(w, "{\"id\":%d}\n", len(asked))
	})
	out, err := runLine(t, "dlq", "export", "--service", "inventory", "--inventory-url", url)
	require.NoError(t, err)
	require.Equal(t, "{\"id\":1}\n{\"id\":2}\n", out)
	require.Equal(t, []string{"/v1/dead-letters/export ", "/v1/dead-letters/export second"}, asked)
}

func TestDifference_IsBounded(t *testing.T) {
	t.Parallel()
	require.Equal(t, "  a\n- b\n+ c\n", difference([]string{"a", "b"}, []string{"a", "c"}))
	many := strings.Split(strings.Repeat("x,", 4000), ",")
	require.Equal(t, 8002, strings.Count(difference(many, append(many, "y")[1:]), "\n"))
}
