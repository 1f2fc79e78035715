// Package demo shows what Waybill does: it places orders that will be confirmed
// and orders that will be rejected, through the same HTTP API as everybody, and
// prints how each saga went.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"waybill.example/chassis/terminal"
	orders "waybill.example/orders/client"
)

// waitTimeout bounds how long an order may take to reach its end.
const waitTimeout = 30 * time.Second

// Addrs is where the services listen.
type Addrs struct{ Orders, Inventory, InventoryGRPC, Orchestrator string }

// wish is an order to place, and where it should end.
type wish struct {
	why   string
	items []orders.Item
	end   orders.Status
}

var wishes = []wish{
	{"there is plenty", []orders.Item{{SKU: "burger", Quantity: 2}}, orders.Confirmed},
	{"two lines, both reserved", []orders.Item{{SKU: "burger", Quantity: 1}, {SKU: "pizza", Quantity: 1}}, orders.Confirmed},
	{"all that there is", []orders.Item{{SKU: "pizza", Quantity: 2}}, orders.Confirmed},
	{"one more than is left", []orders.Item{{SKU: "pizza", Quantity: 1}}, orders.Cancelled},
	{"nobody sells it", []orders.Item{{SKU: "unicorn", Quantity: 1}}, orders.Cancelled},
	{
		"three lines, two of which cannot be had",
		[]orders.Item{{SKU: "burger", Quantity: 1}, {SKU: "pizza", Quantity: 5}, {SKU: "unicorn", Quantity: 1}},
		orders.Cancelled,
	},
}

// draft is the wish as it is placed: one line goes as the single form.
func (w wish) draft() orders.Draft {
	if len(w.items) == 1 {
		return orders.Draft{UserID: "demo", SKU: w.items[0].SKU, Quantity: w.items[0].Quantity}
	}
	return orders.Draft{UserID: "demo", Items: w.items}
}

func (w wish) String() string {
	lines := make([]string, len(w.items))
	for i, item := range w.items {
		lines[i] = fmt.Sprintf("%d × %s", item.Quantity, item.SKU)
	}
	return strings.Join(lines, ", ")
}

// stock is what there is when the demo begins, whatever earlier ones have left.
var stock = map[string]int{"burger": 100, "pizza": 3}

// Run places the orders one after the other, so that each meets the stock that
// the one before has left, and prints what became of each. It returns an error
// when one does not end as it should.
func Run(ctx context.Context, addrs Addrs, out io.Writer) error {
	c, err := newClient(addrs)
	if err != nil {
		return err
	}
	defer c.orders.Close()
	for sku, onHand := range stock {
		if err := c.setStock(ctx, sku, onHand); err != nil {
			return fmt.Errorf("set the stock of %s: %w", sku, err)
		}
	}
	var errs []error
	for _, w := range wishes {
		if err := c.fulfil(ctx, w, out); err != nil {
			errs = append(errs, fmt.Errorf("order of %s: %w", w, err))
		}
	}
	return errors.Join(append(errs, c.callAndWait(ctx, out))...)
}

func (c client) fulfil(ctx context.Context, w wish, out io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, waitTimeout, fmt.Errorf("it has not ended within %s", waitTimeout))
	defer cancel()
	began := time.Now()
	id, err := c.orders.Place(ctx, w.draft())
	if err != nil {
		return err
	}
	terminal.Fprintf(out, "\nOrder %d: %s (%s)\n", id, w, w.why)
	terminal.Fprintf(out, "  accepted (202) after %s\n", milliseconds(time.Since(began)))
	placed, err := c.orders.Wait(ctx, id)
	ended := time.Since(began)
	if err != nil {
		return errors.Join(fmt.Errorf("order %d is %s: %w: %w", id, placed.Status, err, context.Cause(ctx)), c.explain(ctx, id, out))
	}
	terminal.Fprintf(out, "  %s after %s", placed.Status, milliseconds(ended))
	if placed.Reason != "" {
		terminal.Fprintf(out, ": %s", placed.Reason)
	}
	fmt.Fprintln(out)
	outcome, err := await(ctx, func() (saga, error) { return c.saga(ctx, id) }, saga.ended)
	printTimeline(out, outcome)
	if err != nil {
		return fmt.Errorf("order %d is %s, but its saga is %s: %w", id, placed.Status, outcome.State, err)
	}
	if placed.Status != w.end {
		return fmt.Errorf("order %d is %s, not %s", id, placed.Status, w.end)
	}
	return nil
}

// explain shows how far a saga has come that does not end. It has a deadline of
// its own, as the order's is over.
func (c client) explain(ctx context.Context, id int64, out io.Writer) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	outcome, err := c.saga(ctx, id)
	if err != nil {
		return err
	}
	printTimeline(out, outcome)
	return nil
}

// await asks until the answer is what is waited for, and returns the last one.
func await[T any](ctx context.Context, ask func() (T, error), done func(T) bool) (T, error) {
	for {
		answer, err := ask()
		if err == nil && done(answer) {
			return answer, nil
		}
		select {
		case <-ctx.Done():
			return answer, errors.Join(context.Cause(ctx), err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
