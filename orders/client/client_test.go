package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/orders/client"
)

// server answers the n-th request, from 1 on, as answer says, and keeps what was asked.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
}

func serve(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r)
		n := len(s.requests)
		s.mu.Unlock()
		answer(n, w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// seen is the requests until now.
func (s *server) seen() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

func (s *server) client(t *testing.T, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(s.URL, options...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func problem(w http.ResponseWriter, status int, retryAfter string) {
	w.Header().Set("Content-Type", "application/problem+json")
	if retryAfter != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"type":"https://waybill.example/problems/x","title":%q,"status":%d,"detail":"details","errors":[{"location":"body.quantity","message":"too few","value":0}]}`,
		http.StatusText(status), status)
}

func show(w http.ResponseWriter, status string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"id":1,"userId":"u1","sku":"burger","quantity":2,"note":"","status":%q,"createdAt":"2026-11-23T10:04:05Z","updatedAt":"2026-11-23T10:04:05Z"}`, status)
}

var draft = client.Draft{UserID: "u1", SKU: "burger", Quantity: 2}

// Each of these says nothing about whether the order was stored: the same key makes it one.
func TestPlace_RepeatsWhatPassesUnderOneKey(t *testing.T) {
	t.Parallel()
	s := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		switch n {
		case 1:
			problem(w, http.StatusServiceUnavailable, "")
		case 2:
			w.WriteHeader(http.StatusBadGateway) // of a proxy
		case 3:
			panic(http.ErrAbortHandler) // the connection is lost before the answer
		case 4:
			w.Header().Set("Content-Length", "100") // and in the middle of it
			_, _ = w.Write([]byte(`{"id":`))
		case 5:
			problem(w, http.StatusTooManyRequests, "1")
		default:
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write([]byte(`{"id":17}`))
		}
	})
	began := time.Now()
	id, err := s.client(t).Place(t.Context(), draft)
	require.NoError(t, err)
	require.EqualValues(t, 17, id)
	require.GreaterOrEqual(t, time.Since(began), time.Second, "not before Retry-After")
	require.Len(t, s.seen(), 6)
	key := s.seen()[0].Header.Get("Idempotency-Key")
	require.NotEmpty(t, key)
	for _, r := range s.seen() {
		require.Equal(t, key, r.Header.Get("Idempotency-Key"))
	}

	_, err = s.client(t).Place(t.Context(), draft)
	require.NoError(t, err)
	require.NotEqual(t, key, s.seen()[6].Header.Get("Idempotency-Key"), "another call is another order")
	_, err = s.client(t).Place(t.Context(), client.Draft{UserID: "u1", SKU: "burger", Quantity: 2, Key: "mine"})
	require.NoError(t, err)
	require.Equal(t, "mine", s.seen()[7].Header.Get("Idempotency-Key"))
}

func TestPlace_DoesNotRepeatWhatStays(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) { problem(w, http.StatusUnprocessableEntity, "") })
	_, err := s.client(t).Place(t.Context(), draft)
	var p *client.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, &client.Problem{
		Type: "https://waybill.example/problems/x", Title: "Unprocessable Entity", Status: 422, Detail: "details",
		Errors: []client.Invalid{{Location: "body.quantity", Message: "too few", Value: 0.0}},
	}, p)
	require.EqualError(t, err, "POST /v1/orders: 422 Unprocessable Entity: details: body.quantity too few")
	require.Len(t, s.seen(), 1)
}

func TestPlace_GivesUpAfterItsTime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusServiceUnavailable, "3600")
		if n == 2 { // while the client waits for an hour, or before
			time.AfterFunc(50*time.Millisecond, cancel)
		}
	})
	_, err := s.client(t).Place(t.Context(), draft)
	var p *client.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, time.Hour, p.RetryAfter)
	require.Len(t, s.seen(), 1, "an hour is longer than a minute")

	_, err = s.client(t, client.WithRetryFor(24*time.Hour)).Place(ctx, draft)
	require.Error(t, err)
	_, err = s.client(t, client.WithRetryFor(0)).Get(t.Context(), 1)
	require.Error(t, err)
	require.Len(t, s.seen(), 3)
}

func TestGet_AnAnswerOfSomethingElseIsAProblemAsWell(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<h1>blocked</h1>", http.StatusForbidden)
	})
	_, err := s.client(t, client.WithHeader("User-Agent", "test")).Get(t.Context(), 1)
	var p *client.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, http.StatusForbidden, p.Status)
	require.Contains(t, p.Detail, "blocked")
	require.Equal(t, "test", s.seen()[0].Header.Get("User-Agent"))
}

func TestList_ReadsAPageWhenItIsNeeded(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") == "" {
			_, _ = w.Write([]byte(`{"orders":[{"id":3},{"id":2}],"next":"x&y"}`))
			return
		}
		_, _ = w.Write([]byte(`{"orders":[{"id":1}]}`))
	})
	list := s.client(t).List(t.Context(), client.Filter{Status: client.Pending, UserID: "ü&", PageSize: 2})
	for range 2 { // it can be read again
		var ids []int64
		for o, err := range list {
			require.NoError(t, err)
			ids = append(ids, o.ID)
		}
		require.Equal(t, []int64{3, 2, 1}, ids)
	}
	query := s.seen()[1].URL.Query()
	require.Equal(t, "x&y ü& PENDING 2", query.Get("cursor")+" "+query.Get("userId")+" "+query.Get("status")+" "+query.Get("limit"))
	before := len(s.seen())
	for _, err := range list {
		require.NoError(t, err)
		break
	}
	require.Len(t, s.seen(), before+1)
}

func TestWait_AsksUntilTheOrderIsTerminal(t *testing.T) {
	t.Parallel()
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Preference-Applied", r.Header.Get("Prefer"))
		switch n {
		case 1, 3:
			show(w, "PENDING") // its wait was over
		case 2:
			problem(w, http.StatusServiceUnavailable, "")
		default:
			show(w, "CONFIRMED")
		}
	})
	o, err := s.client(t).Wait(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, client.Confirmed, o.Status)
	require.Len(t, s.seen(), 4)
	require.Equal(t, "wait=30", s.seen()[0].Header.Get("Prefer"))
}

func TestWait_ReturnsTheLastThatItSawWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) { show(w, "PENDING") }) // no place to wait
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	o, err := s.client(t).Wait(ctx, 1)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, client.Pending, o.Status)
	require.Less(t, len(s.seen()), 12, "it does not poll in a loop")
	require.Regexp(t, `^wait=[1-4]$`, s.seen()[0].Header.Get("Prefer"), "what is left, in whole seconds")
}

func TestPlaceAndWait_GoesOnWaitingForAnOrderThatWasPlaced(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write([]byte(`{"id":1}`))
			return
		}
		show(w, "CANCELLED")
	})
	o, err := s.client(t).PlaceAndWait(t.Context(), draft)
	require.NoError(t, err)
	require.Equal(t, client.Cancelled, o.Status)
	require.Equal(t, "/v1/orders/1", s.seen()[1].URL.Path)
}

func event(w http.ResponseWriter, id, status string) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprintf(w, ": alive\n\nid: %s\nevent: status\ndata: {\"id\":1,\"status\":%q}\n\n", id, status)
	w.(http.Flusher).Flush()
}

func TestWatch_GoesOnWhereItWasAfterALostConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 1:
			problem(w, http.StatusServiceUnavailable, "")
		case 2:
			event(w, "1", "PENDING")
			panic(http.ErrAbortHandler)
		case 3:
			event(w, "1", "") // the server stops in order
		default:
			event(w, "2", "CONFIRMED")
			<-r.Context().Done()
		}
	})
	var seen []client.Status
	for o, err := range s.client(t).Watch(t.Context(), 1) {
		require.NoError(t, err)
		seen = append(seen, o.Status)
	}
	require.Equal(t, []client.Status{"PENDING", "", "CONFIRMED"}, seen)
	require.Empty(t, s.seen()[1].Header.Get("Last-Event-ID"))
	require.Equal(t, "1", s.seen()[3].Header.Get("Last-Event-ID"))
}

func TestWatch_EndsWithWhatStopsIt(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/orders/1/events":
			w.WriteHeader(http.StatusNoContent)
		case "/v1/orders/2/events":
			problem(w, http.StatusNotFound, "")
		default:
			event(w, "1", "PENDING")
			<-r.Context().Done()
		}
	})
	c := s.client(t)
	for _, err := range c.Watch(t.Context(), 1) {
		require.Fail(t, "there is nothing to see", err)
	}
	var errs []error
	for _, err := range c.Watch(t.Context(), 2) {
		errs = append(errs, err)
	}
	require.Len(t, errs, 1)
	var p *client.Problem
	require.ErrorAs(t, errs[0], &p)
	require.Equal(t, http.StatusNotFound, p.Status)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs = nil
	for _, err := range c.Watch(ctx, 3) {
		errs = append(errs, err)
		cancel()
	}
	require.Len(t, errs, 2)
	require.NoError(t, errs[0])
	require.ErrorIs(t, errs[1], context.Canceled)
	for _, err := range c.Watch(t.Context(), 3) {
		require.NoError(t, err)
		break // and the connection is closed
	}
}

func TestNew_RefusesWhatIsNoURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "localhost:8080", "ftp://host", "http://", "http://host?x=y", "http://host#x", "http://[::1"} {
		_, err := client.New(url)
		require.Error(t, err, url)
	}
}

func TestOrder_IsReadWithoutLossAndWithoutWhatIsUnknown(t *testing.T) {
	t.Parallel()
	var o client.Order
	require.NoError(t, json.Unmarshal([]byte(`{"id":9007199254740993,"status":"CONFIRMED","cancelRequestedAt":"2026-11-23T10:04:05Z","later":1}`), &o))
	require.EqualValues(t, 9007199254740993, o.ID)
	require.False(t, o.Terminal())
	o.CancelRefused = "too late"
	require.True(t, o.Terminal())
}
