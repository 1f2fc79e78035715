package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// prefer makes a request of a client that wants to wait.
func prefer(t *testing.T, method, path, body, preference string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Prefer", preference)
	return r
}

// later makes a request and returns at once.
func (f fixture) later(r *http.Request) <-chan *httptest.ResponseRecorder {
	answered := make(chan *httptest.ResponseRecorder, 1)
	go func() { answered <- f.do(r) }()
	return answered
}

// awaitWaiting returns once so many clients wait.
func (f fixture) awaitWaiting(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return f.server.Waiting.Taken() == n }, time.Minute, time.Millisecond)
}

// decide changes an order behind the back of this process, and says so.
func (f fixture) decide(t *testing.T, set string) {
	t.Helper()
	_, err := f.Pool.Exec(t.Context(), "update orders set "+set+" where id = 1")
	require.NoError(t, err)
	f.hub.Changed(1)
}

func answer(t *testing.T, answered <-chan *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	t.Helper()
	select {
	case w := <-answered:
		return w
	case <-time.After(time.Minute):
		require.Fail(t, "no answer")
		return nil
	}
}

func TestGet_PreferWaitAnswersAsSoonAsTheOrderIsTerminal(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	waits := f.later(prefer(t, http.MethodGet, "/v1/orders/1", "", "respond-async, wait=30"))
	f.awaitWaiting(t, 1)
	f.decide(t, "status = 'CONFIRMED'")
	w := answer(t, waits)
	require.Equal(t, "CONFIRMED", decode(t, w)["status"])
	require.Equal(t, "wait=30", w.Header().Get("Preference-Applied"))
	f.awaitWaiting(t, 0)

	w = f.do(prefer(t, http.MethodGet, "/v1/orders/1", "", "wait=30"))
	require.Equal(t, "CONFIRMED", decode(t, w)["status"])
	require.Equal(t, "wait=30", w.Header().Get("Preference-Applied"))
	require.Contains(t, f.get("/metrics").Body.String(), `_count{method="GET",route="/v1/orders/{id} (waits)",status="200"} 2`)
}

func TestGet_PreferWaitAnswersWithThePresentStateAfterTheWait(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	began := time.Now()
	w := f.do(prefer(t, http.MethodGet, "/v1/orders/1", "", "wait=1"))
	require.GreaterOrEqual(t, time.Since(began), time.Second)
	require.Equal(t, "PENDING", decode(t, w)["status"])
	require.Equal(t, "wait=1", w.Header().Get("Preference-Applied"))

	// Changed meanwhile, and nobody has said so.
	waits := f.later(prefer(t, http.MethodGet, "/v1/orders/1", "", "wait=5"))
	f.awaitWaiting(t, 1)
	_, err := f.Pool.Exec(t.Context(), "update orders set status = 'CONFIRMED'")
	require.NoError(t, err)
	require.Equal(t, "CONFIRMED", decode(t, answer(t, waits))["status"])
}

func TestGet_PreferWaitIsBoundedAndWhatIsNotUnderstoodIsIgnored(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	for _, nothing := range []string{"", "wait", "wait=-1", "wait=x, wait=5", "respond-async", "wait=1.5"} {
		w := f.do(prefer(t, http.MethodGet, "/v1/orders/1", "", nothing))
		require.Equal(t, "PENDING", decode(t, w)["status"])
		require.NotContains(t, w.Header(), "Preference-Applied")
	}
	w := f.do(prefer(t, http.MethodGet, "/v1/orders/1", "", "wait=0"))
	require.Equal(t, "wait=0", w.Header().Get("Preference-Applied"))
	waits := f.later(prefer(t, http.MethodGet, "/v1/orders/1", "", `wait="4000000000"`))
	f.awaitWaiting(t, 1)
	f.decide(t, "status = 'CONFIRMED'")
	require.Equal(t, "wait=30", answer(t, waits).Header().Get("Preference-Applied"))
	requireProblem(t, http.StatusNotFound, f.do(prefer(t, http.MethodGet, "/v1/orders/2", "", "wait=30")))
	requireProblem(t, http.StatusBadRequest, f.do(prefer(t, http.MethodGet, "/v1/orders/x", "", "wait=30")))
}

// A request to cancel is under way until the saga has cancelled the order or refused.
func TestGet_PreferWaitWaitsForTheAnswerToARequestToCancel(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	f.decide(t, "status = 'CONFIRMED'")
	require.Equal(t, http.StatusAccepted, f.post("/v1/orders/1/cancel", "{}").Code)
	waits := f.later(prefer(t, http.MethodGet, "/v1/orders/1", "", "wait=30"))
	f.awaitWaiting(t, 1)
	f.decide(t, "cancel_refused = 'too late'")
	shown := decode(t, answer(t, waits))
	require.Equal(t, []any{"CONFIRMED", "too late"}, []any{shown["status"], shown["cancelRefused"]})
}

func TestPlace_PreferWaitAnswersWithTheOrder(t *testing.T) {
	t.Parallel()
	f := start(t)
	request := prefer(t, http.MethodPost, "/v1/orders", burger, "wait=30")
	request.Header.Set("Idempotency-Key", "k")
	waits := f.later(request)
	f.awaitWaiting(t, 1)
	f.decide(t, "status = 'CANCELLED', reason = 'sold out'")
	w := answer(t, waits)
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "/v1/orders/1", w.Header().Get("Location"))
	require.Equal(t, "wait=30", w.Header().Get("Preference-Applied"))
	require.Equal(t, "sold out", decode(t, w)["reason"])

	again := prefer(t, http.MethodPost, "/v1/orders", burger, "wait=30")
	again.Header.Set("Idempotency-Key", "k")
	require.Equal(t, w.Body.String(), f.do(again).Body.String())

	w = f.do(prefer(t, http.MethodPost, "/v1/orders", burger, "wait=1"))
	require.Equal(t, http.StatusAccepted, w.Code)
	require.Contains(t, w.Body.String(), `"userId":"u1"`)
	require.Contains(t, w.Body.String(), `"status":"PENDING"`)
	requireProblem(t, http.StatusUnprocessableEntity, f.do(prefer(t, http.MethodPost, "/v1/orders", "{}", "wait=30")))
}

// A preference is not an error: without a place to wait the answer comes at once.
func TestGet_PreferWaitIsNotAppliedWhileTooManyWait(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	for range 100 {
		leave, ok := f.server.Waiting.Enter()
		require.True(t, ok)
		defer leave()
	}
	w := f.do(prefer(t, http.MethodGet, "/v1/orders/1", "", "wait=30"))
	require.Equal(t, "PENDING", decode(t, w)["status"])
	require.NotContains(t, w.Header(), "Preference-Applied")
	w = f.do(prefer(t, http.MethodPost, "/v1/orders", burger, "wait=30"))
	require.Equal(t, http.StatusAccepted, w.Code)
	require.NotContains(t, w.Header(), "Preference-Applied")
}

// Over a real connection: a wait is longer than a body may take to arrive, a client that goes away
// gives its place back, and a server that stops answers at once.
func TestGet_PreferWaitLastsAsLongAsItsClientAndItsServer(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- f.server.Run(ctx) }()
	ask := func(ctx context.Context) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.server.Addr()+"/v1/orders", strings.NewReader(burger))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Prefer", "wait=30")
		return http.DefaultClient.Do(r)
	}

	gone, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		response, err := ask(gone)
		if err == nil {
			response.Body.Close()
		}
		left <- err
	}()
	f.awaitWaiting(t, 1)
	leave()
	require.ErrorIs(t, <-left, context.Canceled)
	f.awaitWaiting(t, 0)

	stays := make(chan *http.Response, 1)
	go func() {
		response, err := ask(t.Context())
		if err == nil {
			stays <- response
		}
	}()
	f.awaitWaiting(t, 1)
	<-time.After(6 * time.Second) // longer than a body may take to arrive: there is nothing to await
	require.Equal(t, 1, f.server.Waiting.Taken())
	stop()
	select {
	case response := <-stays:
		defer response.Body.Close()
		require.Equal(t, http.StatusAccepted, response.StatusCode)
		require.Equal(t, "wait=30", response.Header.Get("Preference-Applied"))
	case <-time.After(time.Minute):
		require.Fail(t, "no answer")
	}
	require.NoError(t, <-ended)
}
