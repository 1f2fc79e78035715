package load_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/drills/load"
)

// store takes orders and confirms each at the third look. As the services do on loopback, it
// answers only requests that name it by an address.
type store struct {
	orders, looks atomic.Int64
	stalled       atomic.Bool
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	return []string{server.URL}
}

func generator(t *testing.T, cfg load.Config) *load.Generator {
	t.Helper()
	cfg.Run, cfg.Mix = "test", burgers
	g, err := load.New(cfg)
	require.NoError(t, err)
	return g
}

func TestAsManyOrdersArePlacedAsWereAskedForAndEachIsAnswered(t *testing.T) {
	t.Parallel()
	s := &store{}
	l := generator(t, load.Config{URLs: open(t, s), Rate: math.Inf(1), Count: 500, InFlight: 8})
	l.Run(t.Context())
	require.EqualValues(t, 500, l.Accepted())
	require.EqualValues(t, 500, s.orders.Load())
	require.EqualValues(t, 500, l.Post().Count())
	require.LessOrEqual(t, l.Post().Quantile(0.5), l.Post().Quantile(0.99))
}

func TestOrdersAreFollowedUntilAClientSeesThemConfirmed(t *testing.T) {
	t.Parallel()
	s := &store{}
	l := generator(t, load.Config{URLs: open(t, s), Rate: 500, Count: 40, Follow: 250})
	l.Run(t.Context())
	require.EqualValues(t, 20, l.Confirm().Count(), "every second one")
	require.GreaterOrEqual(t, s.looks.Load(), int64(60))
}

func TestARefusalIsCountedWithItsReason(t *testing.T) {
	t.Parallel()
	s := &store{}
	s.stalled.Store(true)
	l := generator(t, load.Config{URLs: open(t, s), Rate: math.Inf(1), Count: 3})
	l.Run(t.Context())
	require.Equal(t, map[string]int64{"answered 503": 3}, l.Totals().Failures)
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
	l := generator(t, load.Config{URLs: open(t, handler), Rate: 1000, Count: 300, InFlight: 2})
	l.Run(t.Context())
	require.Greater(t, l.Post().Quantile(0.5), stall/4, "most of them were due during the stall")
}
