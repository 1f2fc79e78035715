package load_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/drills/load"
)

// fasthttp looks for idle connections by a goroutine that ends within 10 s of the last one.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"))
}

var burgers = load.Mix{{Weight: 1, SKU: "burger", Quantity: 2}}

// orders answers like the Orders service, with the ids 1, 2, 3...
func orders(t *testing.T, before func(n int64, w http.ResponseWriter) bool) string {
	t.Helper()
	var ids atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			UserID, SKU string
			Quantity    int32
		}
		if json.NewDecoder(r.Body).Decode(&body) != nil || r.URL.Path != "/v1/orders" || body.SKU != "burger" || body.Quantity != 2 {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		id := ids.Add(1)
		if before != nil && !before(id, w) {
			return
		}
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"id":%d}`, id)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func run(t *testing.T, cfg load.Config, n int64) (load.Totals, []load.Entry) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	ledger, err := load.CreateLedger(path)
	require.NoError(t, err)
	cfg.Run, cfg.Ledger = "test", ledger
	if cfg.Mix == nil {
		cfg.Mix = burgers
	}
	g, err := load.New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	finished := make(chan load.Totals)
	go func() { finished <- g.Run(ctx) }()
	require.Eventually(t, func() bool { return g.Totals().Sent >= n }, time.Minute, time.Millisecond)
	cancel()
	totals := <-finished
	require.NoError(t, ledger.Close())
	var entries []load.Entry
	for e, err := range load.ReadLedger(path) {
		require.NoError(t, err)
		entries = append(entries, e)
	}
	return totals, entries
}

func TestEveryRequestIsInTheLedgerWithItsAnswer(t *testing.T) {
	t.Parallel()
	url := orders(t, func(n int64, w http.ResponseWriter) bool {
		if n%3 == 0 {
			http.Error(w, "away", http.StatusServiceUnavailable)
		}
		return n%3 != 0
	})
	totals, entries := run(t, load.Config{URLs: []string{url}, Rate: 1000}, 90)
	require.Len(t, entries, int(totals.Sent))
	require.Zero(t, totals.InFlight)
	require.Equal(t, totals.Sent, totals.Accepted+totals.Failed)
	require.Equal(t, map[string]int64{"answered 503": totals.Sent / 3}, totals.Failures)
	require.Equal(t, totals.Failed, totals.Refused)
	ids := map[int64]bool{}
	for _, e := range entries {
		require.Equal(t, load.UserID("test", e.N), e.UserID)
		require.Equal(t, e.Accepted(), e.OrderID != 0)
		require.False(t, ids[e.OrderID] && e.Accepted())
		ids[e.OrderID] = true
		require.False(t, e.Done.Before(e.Sent) || e.Sent.Before(e.Due))
	}
}

// The server answers nothing for 300 ms, and there is one connection. A closed-loop client would
// have measured one slow request; here every request that was due meanwhile is a slow one.
func TestAStallIsMeasuredOnEveryRequestThatWasDueMeanwhile(t *testing.T) {
	t.Parallel()
	const stall = 300 * time.Millisecond
	url := orders(t, func(n int64, _ http.ResponseWriter) bool {
		if n == 1 {
			<-time.After(stall)
		}
		return true
	})
	totals, entries := run(t, load.Config{URLs: []string{url}, Rate: 200, InFlight: 1}, 90)
	slow := 0
	for _, e := range entries {
		if e.Latency() > stall/3 {
			slow++
		}
	}
	require.GreaterOrEqual(t, slow, 30, "200/s × 300 ms × 2/3, less what the machine took")
	require.GreaterOrEqual(t, totals.Latency.Max, stall)
	require.GreaterOrEqual(t, totals.Latency.P90, stall/3)
}

func TestARequestThatGetsNoAnswerIsRecordedWithItsReason(t *testing.T) {
	t.Parallel()
	totals, entries := run(t, load.Config{URLs: []string{"http://127.0.0.1:1"}, Rate: 500}, 10)
	require.Equal(t, map[string]int64{"connection refused": totals.Sent}, totals.Failures)
	require.Zero(t, entries[0].Status)

	hang := make(chan struct{})
	url := orders(t, func(int64, http.ResponseWriter) bool { <-hang; return false })
	t.Cleanup(func() { close(hang) })
	totals, _ = run(t, load.Config{URLs: []string{url}, Rate: 100, Timeout: 50 * time.Millisecond}, 5)
	require.Equal(t, map[string]int64{"no answer in time": totals.Sent}, totals.Failures)
}

func TestTheRateIsKept(t *testing.T) {
	t.Parallel()
	_, entries := run(t, load.Config{URLs: []string{orders(t, nil)}, Rate: 400}, 200)
	first, last := entries[0].Due, entries[0].Due
	for _, e := range entries {
		if e.Due.Before(first) {
			first = e.Due
		}
		if e.Due.After(last) {
			last = e.Due
		}
	}
	require.InDelta(t, 1/400.0, last.Sub(first).Seconds()/float64(len(entries)-1), 1e-6)
}

func TestAHalfWrittenLastLineIsLeftOut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	require.NoError(t, os.WriteFile(path, []byte("{\"n\":1,\"status\":202}\n{\"n\":2,\"sta"), 0o600))
	n := 0
	for e, err := range load.ReadLedger(path) {
		require.NoError(t, err)
		require.True(t, e.Accepted())
		n++
	}
	require.Equal(t, 1, n)
	require.NoError(t, os.WriteFile(path, []byte("nonsense\n"), 0o600))
	for _, err := range load.ReadLedger(path) {
		require.ErrorContains(t, err, "line 1")
	}
}

func TestUnusableSettingsAreRefused(t *testing.T) {
	t.Parallel()
	url := []string{"http://127.0.0.1:1"}
	for name, cfg := range map[string]load.Config{
		"no url":          {Rate: 1, Run: "r", Mix: burgers},
		"no rate":         {URLs: url, Run: "r", Mix: burgers},
		"no run":          {URLs: url, Rate: 1, Mix: burgers},
		"no mix":          {URLs: url, Rate: 1, Run: "r"},
		"negative weight": {URLs: url, Rate: 1, Run: "r", Mix: load.Mix{{Weight: -1, SKU: "x", Quantity: 1}}},
		"no quantity":     {URLs: url, Rate: 1, Run: "r", Mix: load.Mix{{Weight: 1, SKU: "x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load.New(cfg)
			require.Error(t, err)
		})
	}
}
