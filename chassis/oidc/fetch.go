package oidc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// fetchTimeout bounds one request to the provider, and refetchAfter is how old what it answered may
// be. Anyone who can send a token can name a key that nobody knows; that must not become a request
// to the provider each time.
const (
	fetchTimeout = 3 * time.Second
	refetchAfter = 10 * time.Second
	maxDocument  = 1 << 20
)

// errSilent is why the provider could not be asked.
var errSilent = errors.New("the identity provider does not answer")

// seldom is a transport that asks for each document once in a while, and passes on what was
// answered, or why nothing was, in between. It is safe for concurrent use.
type seldom struct {
	next  http.RoundTripper
	after time.Duration

	mu   sync.Mutex
	last map[string]*fetched
}

type fetched struct {
	mu     sync.Mutex // held while it is asked for
	at     time.Time
	status int
	body   []byte
	err    error
}

// RoundTrip implements [http.RoundTripper].
func (s *seldom) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		return s.next.RoundTrip(r)
	}
	s.mu.Lock()
	f := s.last[r.URL.String()]
	if f == nil {
		f = &fetched{}
		s.last[r.URL.String()] = f // two documents: the provider's, and its keys
	}
	s.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.at) >= s.after {
		f.status, f.body, f.err = s.fetch(r)
		f.at = time.Now()
	}
	if f.err != nil {
		return nil, fmt.Errorf("%w: %w", errSilent, f.err)
	}
	return &http.Response{
		Status: http.StatusText(f.status), StatusCode: f.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(f.body)), ContentLength: int64(len(f.body)), Request: r,
	}, nil
}

func (s *seldom) fetch(r *http.Request) (status int, body []byte, err error) {
	response, err := s.next.RoundTrip(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxDocument))
	if err == nil && response.StatusCode >= http.StatusInternalServerError {
		err = errors.New(response.Status)
	}
	return response.StatusCode, body, err
}
