package client

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

const (
	// maxWait is the longest wait that the service grants.
	maxWait = 30 * time.Second
	// answerBefore is how long before the context's end the service is asked to answer.
	answerBefore = 500 * time.Millisecond
	// pollEvery is how often an order is looked at while the service has no place for one more
	// client that waits.
	pollEvery = time.Second
)

// PlaceAndWait places an order and waits until it is terminal (see [Order.Terminal]). Where the
// context ends before that, it returns the order as it was last seen and the context's error; the
// order is placed if its ID is not 0.
func (c *Client) PlaceAndWait(ctx context.Context, d Draft) (Order, error) {
	call := placing(d)
	prefer(ctx, &call)
	var placed Order
	if _, err := c.do(ctx, call, &placed); err != nil || placed.Terminal() {
		return placed, err
	}
	if ctx.Err() != nil {
		return placed, ctx.Err()
	}
	now, err := c.Wait(ctx, placed.ID)
	if now.ID == 0 {
		now = placed
	}
	return now, err
}

// Wait waits until an order is terminal, and returns it. Where the context ends before that, it
// returns the order as it was last seen and the context's error. It does not poll: the service
// answers when the order changes.
func (c *Client) Wait(ctx context.Context, id int64) (last Order, err error) {
	for {
		call := call{method: http.MethodGet, path: orderPath(id)}
		prefer(ctx, &call)
		var now Order
		answered, err := c.do(ctx, call, &now)
		if err == nil {
			last = now
		}
		switch {
		case err == nil && now.Terminal():
			return now, nil
		case ctx.Err() != nil:
			return last, ctx.Err()
		case err != nil:
			return last, err
		}
		if granted := answered.Get("Preference-Applied"); granted == "" || granted == "wait=0" {
			if sleep(ctx, pollEvery/2+rand.N(pollEvery)) != nil {
				return last, ctx.Err()
			}
		}
	}
}

// prefer asks the service to wait, for as long as the context lasts at most.
func prefer(ctx context.Context, call *call) {
	call.wait = maxWait
	if deadline, ok := ctx.Deadline(); ok {
		call.wait = max(0, min(maxWait, time.Until(deadline)-answerBefore)).Truncate(time.Second)
	}
	call.set("Prefer", "wait="+strconv.Itoa(int(call.wait/time.Second)))
}
