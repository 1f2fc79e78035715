package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/tmaxmax/go-sse"
)

// silentFor is how long a stream may be silent before its connection is considered dead: the
// service sends something every 15 seconds.
const silentFor = 40 * time.Second

// Watch yields an order as it is and after each change of its status, and ends once it is terminal
// (see [Order.Terminal]). Changes that follow each other at once may come as one. A connection that
// is lost is opened again, and the stream goes on where it was. After an error it ends: that of the
// context, a [*Problem] such as 404, or what kept it from connecting for the time of
// [WithRetryFor].
func (c *Client) Watch(ctx context.Context, id int64) iter.Seq2[Order, error] {
	return func(yield func(Order, error) bool) {
		w := &watching{client: c, path: orderPath(id) + "/events"}
		for {
			var connected bool
			err := c.repeat(ctx, func() error {
				err := w.connect(ctx, yield, &connected)
				if connected {
					return permanent{err} // from here on a failure is another one, with its own time
				}
				return err
			})
			switch {
			case w.over:
				return
			case ctx.Err() != nil:
				yield(Order{}, ctx.Err())
				return
			case !connected || errors.Is(err, errNotAnOrder):
				yield(Order{}, fmt.Errorf("watch order %d: %w", id, err))
				return
			}
			_ = sleep(ctx, newPauses().NextBackOff()) // ctx is looked at next
		}
	}
}

var errNotAnOrder = errors.New("an event is not as expected")

// watching is a stream that goes on over several connections.
type watching struct {
	client *Client
	path   string
	last   string // the id of the last event
	over   bool   // the order is terminal, or nobody wants more of it
}

// connect opens a connection and yields what comes, until it ends. connected is set once events
// come.
func (w *watching) connect(ctx context.Context, yield func(Order, error) bool, connected *bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(silentFor, cancel)
	defer silent.Stop()
	call := call{method: http.MethodGet, path: w.path}
	call.set("Accept", "text/event-stream")
	if w.last != "" {
		call.set("Last-Event-ID", w.last)
	}
	response, err := w.client.open(ctx, call)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNoContent {
		w.over = true
		return nil
	}
	body := heard{response.Body, func() { silent.Reset(silentFor) }}
	for event, err := range sse.Read(body, nil) {
		if err != nil {
			return err
		}
		*connected = true
		w.last = event.LastEventID
		if event.Type != "status" {
			continue // of a later version
		}
		var o Order
		if err := json.Unmarshal([]byte(event.Data), &o); err != nil {
			return fmt.Errorf("%w: %w", errNotAnOrder, err)
		}
		if !yield(o, nil) || o.Terminal() {
			w.over = true
			return nil
		}
	}
	return io.ErrUnexpectedEOF // a server that stops ends its streams
}

// heard calls back whenever something was read.
type heard struct {
	io.Reader

	back func()
}

func (h heard) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	h.back()
	return n, err
}
