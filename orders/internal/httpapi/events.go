package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/tmaxmax/go-sse"

	"waybill.example/chassis/httpserver"
	"waybill.example/orders/internal/watch"
	"waybill.example/orders/order"
)

// Limits of streams. A client that is cut off by one of them connects again, and is sent what it
// has missed.
const (
	// aliveEvery is how often a stream without news sends a comment: proxies close what is silent,
	// and a client that has gone without a word is noticed only by a write.
	aliveEvery = 15 * time.Second
	// reconnectAfter is how long a client is asked to wait before it connects again.
	reconnectAfter = time.Second
	// sendWithin bounds one write to a client that does not read.
	sendWithin = 5 * time.Second
	// streamFor bounds a stream: a connection that is open for so long is likely forgotten.
	streamFor = time.Hour
)

type eventsInput struct {
	PathID
	httpserver.Exchange

	LastEventID string `header:"Last-Event-ID" doc:"The id of the last event that the client has seen, which browsers send when they connect again: the stream goes on after it" example:"1"`
}

func (a *api) registerEvents(operations httpserver.Operations) {
	shown := operations.API.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Order](), true, "")
	httpserver.Handle(operations, huma.Operation{
		OperationID: "watch-order",
		Method:      http.MethodGet,
		Path:        "/v1/orders/{id}/events",
		Summary:     "What becomes of an order, as it happens",
		Description: "Server-sent events: `status`, with the order as its data, for the order as it is and for each change of its status, " +
			"until nothing is under way for it (as for `Prefer: wait`). Changes that follow each other at once may come as one. " +
			"Comments keep the connection alive. A client that connects again with Last-Event-ID is sent what it has not seen; " +
			"204, at which an EventSource stops, where that is nothing and no more will come.",
		Errors: []int{http.StatusBadRequest, http.StatusNotFound},
		Responses: map[string]*huma.Response{
			"200": {Description: "The events", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: shown}}},
			"204": {Description: "The client has seen the last event"},
		},
	}, a.events)
}

// eventID names a state of an order to clients.
func eventID(o order.Order) string { return strconv.Itoa(o.Progress()) }

func (a *api) events(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	number, err := in.number()
	if err != nil {
		return nil, err
	}
	leave, ok := a.Waiting.Enter()
	if !ok {
		return nil, httpserver.Unavailable("too many clients wait already; try again")
	}
	watcher := a.Hub.Watch(number)
	end := func() { watcher.Close(); leave() }
	found, err := watcher.Read(ctx)
	if err != nil {
		end()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(answer huma.Context) { //nolint:contextcheck // a stream lives as long as its request, not as its first query
		defer end()
		if found.Terminal() && in.LastEventID == eventID(found) {
			answer.SetStatus(http.StatusNoContent)
			return
		}
		in.Extend(streamFor)
		open, stop := a.Waiting.Until(answer.Context())
		defer stop()
		_, w := humachi.Unwrap(answer)
		s := &stream{watcher: watcher, to: w, control: http.NewResponseController(w), seen: in.LastEventID, aliveEvery: cmp.Or(a.AliveEvery, aliveEvery)}
		s.run(open, found)
	}}, nil
}

// stream sends one client what becomes of one order.
type stream struct {
	watcher    *watch.Watcher
	to         http.ResponseWriter
	control    *http.ResponseController
	seen       string // the id of the last event that the client has
	aliveEvery time.Duration
}

// run ends when nothing is under way for the order, when the client has gone, and with ctx.
func (s *stream) run(ctx context.Context, found order.Order) {
	ctx, cancel := context.WithTimeout(ctx, streamFor)
	defer cancel()
	s.to.Header().Set("Content-Type", "text/event-stream")
	err := s.write(&sse.Message{Retry: reconnectAfter})
	for err == nil {
		if id := eventID(found); id != s.seen {
			err = s.send(id, found)
			s.seen = id
		}
		if found.Terminal() {
			return
		}
		if err == nil {
			found, err = s.next(ctx)
		}
	}
}

// next returns the order once it has changed.
func (s *stream) next(ctx context.Context) (order.Order, error) {
	for {
		quiet, cancel := context.WithTimeout(ctx, s.aliveEvery)
		found, err := s.watcher.Next(quiet)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return found, err
		}
		alive := &sse.Message{}
		alive.AppendComment("alive")
		if err := s.write(alive); err != nil {
			return order.Order{}, err
		}
	}
}

func (s *stream) send(id string, o order.Order) error {
	data, err := json.Marshal(toResponse(o))
	if err != nil {
		return err
	}
	m := &sse.Message{ID: sse.ID(id), Type: sse.Type("status")}
	m.AppendData(string(data))
	return s.write(m)
}

// write sends a message. It fails where the client has gone.
func (s *stream) write(m *sse.Message) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(sendWithin)) // not every writer has one
	if _, err := m.WriteTo(s.to); err != nil {
		return err
	}
	return s.control.Flush()
}
