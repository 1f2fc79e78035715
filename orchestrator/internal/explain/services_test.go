package explain

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// Stopped, frozen, unwell and well are four things, and a person does something else about each.
func TestServices_SaysWhatIsWrongWithEach(t *testing.T) {
	t.Parallel()
	say := func(status int, body string) string {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		return server.URL
	}
	frozen, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and answers nothing
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, frozen.Close()) })
	x := Explainer{ServiceURLs: map[string]string{
		"well":    say(200, `{"status":"ready","checks":{"kafka":"ok","postgres":"ok"}}`),
		"shown":   say(200, `{"status":"ready","checks":{"kafka":"no broker answers","postgres":"ok"}}`),
		"unwell":  say(503, `{"status":"not ready","checks":{"consumer":"blocked for 5 s","kafka":"away"}}`),
		"other":   say(200, `<html>`),
		"stopped": "http://127.0.0.1:1",
		"frozen":  "http://" + frozen.Addr().String(),
	}}
	all := x.services(t.Context())
	for name, want := range map[string]string{
		"well": "", "shown": "says kafka: no broker answers", "unwell": "says consumer: blocked for 5 s; kafka: away",
		"other":   "does not answer as expected at " + x.ServiceURLs["other"],
		"stopped": "does not run: nothing listens at http://127.0.0.1:1",
		"frozen":  "does not answer at " + x.ServiceURLs["frozen"] + ": it is frozen, overloaded, or cut off",
	} {
		require.Equal(t, want, all[name].Problem, name)
	}
}

func TestParseURLs_NamesThePairAtFault(t *testing.T) {
	t.Parallel()
	urls, err := ParseURLs([]string{"orders=http://orders:8080", " inventory=https://inventory"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"orders": "http://orders:8080", "inventory": "https://inventory"}, urls)
	for _, bad := range []string{"orders", "=http://x", "orders=orders:8080"} {
		_, err := ParseURLs([]string{bad})
		require.ErrorContains(t, err, "pair 1 must be name=URL")
	}
}
