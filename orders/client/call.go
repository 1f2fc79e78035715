package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 16 << 20

// call is one call, however often it is sent.
type call struct {
	method, path string
	query        string
	header       http.Header
	body         any           // nil: none
	wait         time.Duration // that the server is asked for
}

// do makes a call and reads the answer's body into one of out; it returns the answer's header.
func (c *Client) do(ctx context.Context, call call, into any) (http.Header, error) {
	if call.method != http.MethodGet && call.header.Get("Idempotency-Key") == "" {
		call.set("Idempotency-Key", c.newKey())
	}
	var header http.Header
	err := c.repeat(ctx, func() error {
		response, body, err := c.send(ctx, call) //nolint:bodyclose // send has read and closed it
		if err != nil {
			return err
		}
		header = response.Header
		if err := json.Unmarshal(body, into); err != nil {
			return permanent{fmt.Errorf("the answer is not as expected: %w", err)}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", call.method, call.path, err)
	}
	return header, nil
}

func (c *call) set(name, value string) {
	if c.header == nil {
		c.header = http.Header{}
	}
	c.header.Set(name, value)
}

// send sends a request once.
func (c *Client) send(ctx context.Context, call call) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, call.wait+c.timeout)
	defer cancel()
	response, err := c.open(ctx, call)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer: %w", err)
	}
	return response, body, nil
}

// open sends a request. An answer that is an error is returned as one.
func (c *Client) open(ctx context.Context, call call) (*http.Response, error) {
	var body io.Reader = http.NoBody
	if call.body != nil {
		encoded, err := json.Marshal(call.body)
		if err != nil {
			return nil, permanent{err}
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, call.method, c.base+call.path, body)
	if err != nil {
		return nil, permanent{err}
	}
	request.URL.RawQuery = call.query
	request.Header = c.header.Clone()
	maps.Copy(request.Header, call.header)
	if call.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil || response.StatusCode < http.StatusMultipleChoices {
		return response, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return nil, problemOf(response, text)
}

// permanent is an error that does not pass.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// repeat calls send until it succeeds, fails for a reason that does not pass, or the time is over.
func (c *Client) repeat(ctx context.Context, send func() error) error {
	pauses := newPauses()
	for began := time.Now(); ; {
		err := send()
		if err == nil || ctx.Err() != nil || !passes(err) {
			return err
		}
		pause := pauseAfter(err, pauses)
		if time.Since(began)+pause > c.retryFor {
			return err
		}
		if sleep(ctx, pause) != nil {
			return err
		}
	}
}

// newPauses returns growing pauses with jitter, so that clients that failed together do not come
// back together.
func newPauses() *backoff.ExponentialBackOff {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.RandomizationFactor = 100*time.Millisecond, 5*time.Second, 0.5
	pauses.Reset()
	return pauses
}

// pauseAfter is at least what the server asks for.
func pauseAfter(err error, pauses backoff.BackOff) time.Duration {
	pause := pauses.NextBackOff()
	if p, ok := errors.AsType[*Problem](err); ok {
		pause += p.RetryAfter
	}
	return pause
}

// passes reports whether the same request may succeed later.
func passes(err error) bool {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p.passing()
	}
	_, lasts := errors.AsType[permanent](err)
	return !lasts
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
