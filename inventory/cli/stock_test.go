package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/terminal"
	"waybill.example/devstack/pgtest"
	"waybill.example/inventory/cli"
	"waybill.example/inventory/internal/httpapi"
	"waybill.example/inventory/internal/postgres"
	"waybill.example/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const token = "a-token-of-some-length"

// start serves the API over a real database, for holders of the token.
func start(t *testing.T) (url string) {
	t.Helper()
	db := pgtest.New(t, migrations.Outbox, migrations.Inventory)
	tokens, err := admin.Parse("INVENTORY_ADMIN_TOKENS", []string{"ada=" + token})
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	server, err := httpserver.New(httpserver.Config{Addr: "127.0.0.1:0"}, httpserver.Options{
		Title: "Test", Version: "1", Log: log, Metrics: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	httpapi.Register(server.API, postgres.NewStore(db.Pool), tokens, log)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	return "http://" + server.Addr()
}

// run runs a line and returns what it prints.
func run(t *testing.T, url string, args ...string) (string, error) {
	t.Helper()
	var stock cli.Stock
	var out bytes.Buffer
	parser, err := kong.New(&stock, kong.Exit(func(int) {}),
		kong.BindTo(t.Context(), (*context.Context)(nil)), kong.BindTo(terminal.Writer(&out), (*io.Writer)(nil)))
	require.NoError(t, err)
	parsed, err := parser.Parse(append([]string{"--url=" + url, "--token=" + token}, args...))
	if err != nil {
		return "usage", err
	}
	err = parsed.Run()
	return out.String(), err
}

func TestStock_EachVerbDoesWhatItSays(t *testing.T) {
	t.Parallel()
	url := start(t)
	must := func(want string, args ...string) string {
		t.Helper()
		out, err := run(t, url, args...)
		require.NoError(t, err, args)
		require.Regexp(t, want, out, args)
		return out
	}
	must("No skus", "list")
	must(`burger: 10 on hand \(\+10\), 0 reserved\. Movement 1, by ada\.`, "set", "burger", "10")
	must(`burger: 60 on hand \(\+50\)`, "move", "burger", "--in=50", "--reason=delivery 4711")
	must(`burger: 58 on hand \(-2\)`, "move", "burger", "--out=2", "--reason", "broken")
	must(`burger: 59 on hand \(\+1\)`, "count", "burger", "59", "--reason=stock-taking")
	must(`a/\.\.: 3 on hand`, "set", "a/..", "3")
	must(`a/\.\. +3 +0 +3 `, "list", "--low=4")
	require.NotContains(t, must(`a/`, "list", "--low=4"), "burger")
	out := must(`(?s)set +--if-match=[0-9a-f-]+, .*move +--if-match=log-4, `, "show", "burger")
	set := regexp.MustCompile(`--if-match=([0-9a-f]+-[0-9a-f-]+)`).FindStringSubmatch(out)[1]
	must(`(?s)count +\+1 +58 +59 +0 +ada +127\.0\.0\.1 .*stock-taking\n.*delivery 4711`, "movements", "burger")
	must(`More: --cursor=`, "movements", "burger", "--limit=1")
	must(`No reservations`, "reservations", "burger")

	must("burger: 1 on hand", "set", "burger", "1", "--if-match", set)
	for _, stale := range [][]string{
		{"set", "burger", "2", "--if-match", set},
		{"count", "burger", "2", "--reason=r", "--if-match=log-4"},
		{"move", "burger", "--out=2", "--reason=r"},
		{"show", "pizza"},
	} {
		_, err := run(t, url, stale...)
		require.Error(t, err, stale)
		require.NotContains(t, err.Error(), "--key", "it is known that nothing was done")
	}
	for _, wrong := range [][]string{
		{"move", "burger", "--reason=r"},
		{"move", "burger", "--in=1", "--out=1", "--reason=r"},
		{"move", "burger", "--in=0", "--reason=r"},
		{"move", "burger", "--in=-1", "--reason=r"},
		{"move", "burger", "--in=1"},
		{"count", "burger", "many", "--reason=r"},
		{"set", "burger"},
	} {
		out, err := run(t, url, wrong...)
		require.Error(t, err, wrong)
		require.Equal(t, "usage", out, wrong)
	}
	out = must("", "show", "burger", "--json")
	var level map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &level))
	require.InDelta(t, 1, level["onHand"], 0)
	require.Equal(t, `"log-6"`, level["movementsEtag"])
}

// Nobody knows what came of a request without an answer: it names the key with which it can be sent
// again, and is then carried out once.
func TestStock_AChangeWithoutAnAnswerCanBeSentAgain(t *testing.T) {
	t.Parallel()
	url := start(t)
	_, err := run(t, url, "set", "burger", "10")
	require.NoError(t, err)
	loses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(r.Context(), r.Method, url+r.URL.EscapedPath(), r.Body)
		if err == nil {
			request.Header = r.Header
			if response, err := http.DefaultClient.Do(request); err == nil {
				response.Body.Close()
			}
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(loses.Close)
	_, err = run(t, loses.URL, "move", "burger", "--in=5", "--reason=r")
	require.ErrorContains(t, err, "no inventory service answers")
	_, key, found := strings.Cut(err.Error(), "to send the same again, add --key=")
	require.True(t, found, err)
	for range 2 {
		out, err := run(t, url, "move", "burger", "--in=5", "--reason=r", "--key="+key)
		require.NoError(t, err)
		require.Contains(t, out, "burger: 15 on hand (+5)")
	}
}

// A reason, a client or a sku that somebody chose for its effect has none on the terminal.
func TestStock_PrintsWhatOthersWroteAsText(t *testing.T) {
	t.Parallel()
	hostile := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const text = `"\u001b[2J\nburger\u202e"`
		_, _ = io.WriteString(w, `{"stock":[{"sku":`+text+`}],"movements":[{"reason":`+text+`,"client":`+text+`,"actor":`+text+`}],"next":`+text+`,"sku":`+text+`}`)
	}))
	t.Cleanup(hostile.Close)
	for _, args := range [][]string{{"list"}, {"movements", "x"}, {"show", "x"}, {"set", "x", "1"}} {
		out, err := run(t, hostile.URL, args...)
		require.NoError(t, err)
		require.True(t, terminal.Plain(strings.ReplaceAll(out, "\n", "")), "%q", out)
		require.NotContains(t, out, "\nburger")
	}
}
