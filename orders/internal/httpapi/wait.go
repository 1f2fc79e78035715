package httpapi

import (
	"context"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/httpserver"
	"waybill.example/orders/internal/watch"
	"waybill.example/orders/order"
)

// Applied says which of its preferences a client was granted.
type Applied struct {
	PreferenceApplied string `header:"Preference-Applied" doc:"The wait that was granted (RFC 7240)" example:"wait=5"`
}

// await returns an order: at once, or where the client prefers to wait and there is a place for it,
// when the order is terminal or the wait is over.
func (a *api) await(ctx context.Context, prefer *httpserver.Preferences, id int64) (order.Order, Applied, error) {
	leave, granted := func() {}, false
	if prefer.Waits() {
		leave, granted = a.Waiting.Enter()
	}
	if !granted {
		found, err := a.Store.Get(ctx, id)
		return found, Applied{}, err
	}
	defer leave()
	watcher := a.Hub.Watch(id)
	defer watcher.Close()
	found, err := watcher.Read(ctx)
	if err != nil {
		return order.Order{}, Applied{}, err
	}
	wait, end, applied := prefer.Begin(a.Waiting)
	defer end()
	for !found.Terminal() {
		next, err := watcher.Next(wait) //nolint:contextcheck // a wait lasts longer than ctx, which a query has
		if err != nil {
			return a.asItIs(prefer, watcher, found), Applied{applied}, nil //nolint:contextcheck // the wait is over
		}
		found = next
	}
	return found, Applied{applied}, nil
}

// asItIs returns the order after a wait. What was heard of it may be late; the query is shared with
// others whose wait is over.
func (a *api) asItIs(prefer *httpserver.Preferences, watcher *watch.Watcher, last order.Order) order.Order {
	ctx, cancel := httpserver.Operations{}.Within(prefer.Context())
	defer cancel()
	now, err := watcher.Read(ctx)
	if err != nil {
		return last
	}
	return now
}

// documentWait adds to the document what huma cannot know: with a preference, the answer to a
// placed order is the order.
func documentWait(document *huma.OpenAPI) {
	accepted := document.Components.Schemas.Schema(reflect.TypeFor[Accepted](), true, "")
	shown := document.Components.Schemas.Schema(reflect.TypeFor[Order](), true, "")
	responses := document.Paths[placeOperation.Path].Post.Responses
	durable := responses["202"]
	durable.Content = map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{AnyOf: []*huma.Schema{accepted, shown}}}}
	decided := *durable
	decided.Description = "The order is CONFIRMED or CANCELLED, and the client preferred to wait for that"
	decided.Content = map[string]*huma.MediaType{"application/json": {Schema: shown}}
	responses["200"] = &decided
}
