package openloop_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/drills/bench/internal/openloop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shop takes orders and confirms each at the third look. As the services do on loopback, it answers
// only requests that name it by an address.
type shop struct {
	orders, looks atomic.Int64
	stalled       atomic.Bool
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Host, "127.0.0.1:") {
		http.Error(w, "not for "+r.Host, http.StatusMisdirectedRequest)
		return
	}
	if r.Method == http.MethodGet {
		status := "PENDING"
		if s.looks.Add(1)%3 == 0 {
			status = "CONFIRMED"
		}
		fmt.Fprintf(w, `{"id":1,"status":%q}`, status)
		return
	}
	if s.stalled.Load() {
		http.Error(w, "stalled", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, `{"id":%d}`, s.orders.Add(1))
}

func open(t *testing.T, s http.Handler) []string {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return []string{strings.TrimPrefix(server.URL, "http://")}
}

func TestAsManyOrdersArePlacedAsWereAskedForAndEachIsAnswered(t *testing.T) {
	t.Parallel()
	s := &shop{}
	l := openloop.New(openloop.Config{Addrs: open(t, s), Rate: math.Inf(1), Count: 500, Workers: 8})
	l.Run(t.Context())
	require.EqualValues(t, 500, l.Accepted())
	require.EqualValues(t, 500, s.orders.Load())
	require.EqualValues(t, 500, l.Post().Count())
	require.LessOrEqual(t, l.Post().Quantile(0.5), l.Post().Quantile(0.99))
}

func TestOrdersAreFollowedUntilAClientSeesThemConfirmed(t *testing.T) {
	t.Parallel()
	s := &shop{}
	l := openloop.New(openloop.Config{Addrs: open(t, s), Rate: 500, Count: 40, Follow: 250})
	l.Run(t.Context())
	require.EqualValues(t, 20, l.Confirm().Count(), "every second one")
	require.GreaterOrEqual(t, s.looks.Load(), int64(60))
}

func TestARefusalIsCountedWithItsReason(t *testing.T) {
	t.Parallel()
	s := &shop{}
	s.stalled.Store(true)
	l := openloop.New(openloop.Config{Addrs: open(t, s), Rate: math.Inf(1), Count: 3})
	l.Run(t.Context())
	failed, why := l.Failed()
	require.EqualValues(t, 3, failed)
	require.Contains(t, why, "503")
	require.Contains(t, why, "stalled")
}

// Somebody who stalls for a while gets the time of every request that was due meanwhile.
func TestAStallIsNotOmitted(t *testing.T) {
	t.Parallel()
	const stall = 300 * time.Millisecond
	var began atomic.Int64
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		began.CompareAndSwap(0, time.Now().UnixNano())
		if left := stall - time.Since(time.Unix(0, began.Load())); left > 0 {
			time.Sleep(left) //nolint:forbidigo // this is the stall
		}
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"id":1}`)
	})
	l := openloop.New(openloop.Config{Addrs: open(t, handler), Rate: 1000, Count: 300, Workers: 2})
	l.Run(t.Context())
	require.Greater(t, l.Post().Quantile(0.5), stall/4, "most of them were due during the stall")
}

func TestTheRateHolds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	l := openloop.New(openloop.Config{Addrs: open(t, &shop{}), Rate: 200})
	l.Run(ctx)
	require.InDelta(t, 200, l.Accepted(), 20)
}
