package load_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/drills/load"
)

// shop answers a request with the order of its key, and loses some of its answers.
type shop struct {
	mu     sync.Mutex
	orders map[string]int64
	asked  map[string]int
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := r.Header.Get("Idempotency-Key")
	var body struct{ UserID string }
	if key == "" || json.NewDecoder(r.Body).Decode(&body) != nil {
		http.Error(w, "no key", http.StatusBadRequest)
		return
	}
	if s.orders[key] == 0 {
		s.orders[key] = int64(len(s.orders) + 1)
	}
	id := s.orders[key]
	switch s.asked[key]++; {
	case id%7 == 0: // refused for good
		http.Error(w, "no", http.StatusUnprocessableEntity)
	case id%3 == 0 && s.asked[key] == 1:
		panic(http.ErrAbortHandler) // done, and the answer is lost
	case id%5 == 0 && s.asked[key] < 3:
		http.Error(w, "away", http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"id":%d}`, id)
	}
}

func TestGenerator_SendsWhatFailedAgainWithItsKeyUntilItIsAnswered(t *testing.T) {
	t.Parallel()
	s := &shop{orders: map[string]int64{}, asked: map[string]int{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	totals, entries := run(t, load.Config{URLs: []string{server.URL, server.URL}, Rate: 500, RetryFor: time.Minute, RepeatEvery: 4}, 60)
	require.Zero(t, totals.Unanswered)
	require.Positive(t, totals.Retried)
	answers := map[string]map[int64]bool{}
	var refused, again int64
	for _, e := range entries {
		require.Equal(t, e.UserID, e.Key)
		if answers[e.Key] == nil {
			answers[e.Key] = map[int64]bool{}
			require.True(t, e.First())
		}
		if e.Accepted() {
			answers[e.Key][e.OrderID] = true
		}
		if e.Status == http.StatusUnprocessableEntity {
			refused++
		}
		if !e.First() && e.N%4 == 0 {
			again++
		}
	}
	require.Len(t, answers, int(totals.Sent))
	require.Equal(t, totals.Sent, totals.Accepted+totals.Retried+refused)
	require.Positive(t, again, "some that were accepted are sent again")
	for key, ids := range answers {
		if s.orders[key]%7 != 0 {
			require.Len(t, ids, 1, key)
		}
	}
}

func TestGenerator_CountsWhatIsNeverAnswered(t *testing.T) {
	t.Parallel()
	totals, entries := run(t, load.Config{URLs: []string{"http://127.0.0.1:1"}, Rate: 500, RetryFor: 500 * time.Millisecond}, 5)
	require.Equal(t, totals.Sent, totals.Unanswered)
	require.Greater(t, len(entries), int(totals.Sent))
}
