package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// serve serves the API on a port until stop, which waits for its end.
func (f fixture) serve(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- f.server.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(t, <-ended)
		}
	}
	t.Cleanup(stop)
	return stop
}

// stream is an open stream of events.
type stream struct {
	*http.Response
	lines *bufio.Reader
}

func (f fixture) stream(t *testing.T, path, lastEventID string) stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.server.Addr()+path, nil)
	require.NoError(t, err)
	if lastEventID != "" {
		r.Header.Set("Last-Event-ID", lastEventID)
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { response.Body.Close() })
	return stream{response, bufio.NewReader(response.Body)}
}

// event returns the next event, without comments, and "" at the end of the stream.
func (s stream) event(t *testing.T) string {
	t.Helper()
	var event strings.Builder
	for {
		line, err := s.lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return ""
		}
		require.NoError(t, err)
		switch {
		case line != "\n" && line[0] != ':':
			event.WriteString(line)
		case line == "\n" && event.Len() > 0:
			return event.String()
		}
	}
}

func requireEvent(t *testing.T, event, id, status string) {
	t.Helper()
	require.Contains(t, event, "id: "+id+"\n")
	require.Contains(t, event, "event: status\n")
	require.Contains(t, event, `"status":"`+status+`"`)
	require.Contains(t, event, `data: {"id":1,"userId":"u1",`)
}

func TestEvents_AreTheOrderAsItIsAndEachChangeUntilTheEnd(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	f.serve(t)
	s := f.stream(t, "/v1/orders/1/events", "")
	require.Equal(t, http.StatusOK, s.StatusCode)
	require.Equal(t, "text/event-stream", s.Header.Get("Content-Type"))
	require.Equal(t, "no-store", s.Header.Get("Cache-Control"))
	require.Equal(t, "retry: 1000\n", s.event(t))
	requireEvent(t, s.event(t), "1", "PENDING")
	f.decide(t, "status = 'CONFIRMED'")
	requireEvent(t, s.event(t), "2", "CONFIRMED")
	require.Empty(t, s.event(t), "the stream has ended")

	s = f.stream(t, "/v1/orders/1/events", "2")
	require.Equal(t, http.StatusNoContent, s.StatusCode, "an EventSource stops")
	s = f.stream(t, "/v1/orders/1/events", "1")
	s.event(t)
	requireEvent(t, s.event(t), "2", "CONFIRMED")
	require.Empty(t, s.event(t))
	f.awaitWaiting(t, 0)

	f.decide(t, "status = 'CANCELLED', reason = 'taken back'")
	s = f.stream(t, "/v1/orders/1/events", "2")
	s.event(t)
	requireEvent(t, s.event(t), "4", "CANCELLED")
	require.Empty(t, s.event(t))
}

func TestEvents_ARequestToCancelKeepsTheStreamOpenUntilItIsAnswered(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	f.decide(t, "status = 'CONFIRMED', cancel_requested_at = now()")
	f.serve(t)
	s := f.stream(t, "/v1/orders/1/events", "2")
	require.Equal(t, http.StatusOK, s.StatusCode)
	s.event(t)
	f.decide(t, "cancel_refused = 'too late'")
	requireEvent(t, s.event(t), "3", "CONFIRMED")
	require.Empty(t, s.event(t))
}

// An id that names no state, or one that is yet to come (the database was restored): the client is
// sent the present.
func TestEvents_AnIDThatIsNotThePresentIsAnsweredWithThePresent(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	f.serve(t)
	for _, id := range []string{"0", "4", "x", strings.Repeat("9", 500)} {
		s := f.stream(t, "/v1/orders/1/events", id)
		s.event(t)
		requireEvent(t, s.event(t), "1", "PENDING")
	}
}

func TestEvents_CommentsKeepAQuietStreamAlive(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	f.serve(t)
	s := f.stream(t, "/v1/orders/1/events", "1")
	for comments := 0; comments < 3; {
		line, err := s.lines.ReadString('\n')
		require.NoError(t, err)
		if line == ": alive\n" {
			comments++
		}
	}
}

func TestEvents_EndWithTheClientAndWithTheServer(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	stop := f.serve(t)
	s := f.stream(t, "/v1/orders/1/events", "")
	s.event(t)
	f.awaitWaiting(t, 1)
	s.Body.Close()
	f.awaitWaiting(t, 0)

	s = f.stream(t, "/v1/orders/1/events", "")
	s.event(t)
	requireEvent(t, s.event(t), "1", "PENDING")
	stop()
	require.Empty(t, s.event(t))
}

func TestEvents_RefuseWhatCannotBeWatched(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	requireProblem(t, http.StatusNotFound, f.get("/v1/orders/2/events"))
	requireProblem(t, http.StatusBadRequest, f.get("/v1/orders/x/events"))
	requireProblem(t, http.StatusUnprocessableEntity, f.get("/v1/orders/1/events?from=1"))
	for range 100 {
		leave, ok := f.server.Waiting.Enter()
		require.True(t, ok)
		defer leave()
	}
	w := f.get("/v1/orders/1/events")
	requireProblem(t, http.StatusServiceUnavailable, w)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
}
