package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
)

// Limits of streams. A client that is cut off by one of them connects again, and is sent what it
// has missed.
const (
	// lookEvery is how often a stream looks for news.
	lookEvery = 100 * time.Millisecond
	// aliveEvery is how often a stream without news says that it is there: proxies close what is
	// silent, and a client that has gone is noticed only by a write.
	aliveEvery = 15 * time.Second
	// sendWithin bounds one write to a client that does not read.
	sendWithin = 5 * time.Second
	// streamFor bounds a stream: a connection that is open for so long is likely forgotten.
	streamFor = time.Hour
	// maxStreams is how many clients may watch at once. Each costs a look at the database every
	// lookEvery.
	maxStreams = 500
)

// Alive says that there is no news.
type Alive struct{}

// End is the last event of a stream: the saga has ended.
type End struct {
	State  string  `json:"state"`
	Reason string  `json:"reason,omitempty"`
	TookMS float64 `json:"tookMs"`
}

// Trouble says that a stream cannot be served; the client connects again.
type Trouble struct {
	Detail string `json:"detail"`
}

type streamInput struct {
	SagaID
	LastEventID string `header:"Last-Event-ID" maxLength:"32" pattern:"^[0-9]*(-end)?$" doc:"The id of the last event that the client has seen, which browsers send when they connect again: the stream goes on after it"`
}

func (a *API) registerStream(api huma.API) {
	schemas := api.OpenAPI().Components.Schemas
	events := make([]*huma.Schema, 0, 4)
	for _, data := range []any{inspect.Line{}, End{}, Trouble{}, Alive{}} {
		events = append(events, schemas.Schema(reflect.TypeOf(data), true, ""))
	}
	httpserver.Handle(a.operations, a.revealing(api, huma.Operation{
		OperationID: "stream-saga", Method: http.MethodGet, Path: "/v1/sagas/{id}/stream",
		Summary: "A saga's transitions as they happen, until it has ended", Tags: []string{"Sagas"},
		Description: "Server-sent events: `transition` for each line of the timeline, first those that have been, its id their number; " +
			"`end` when the saga has ended; `alive` where there is no news; `trouble` when the stream cannot go on. A client that connects again with Last-Event-ID goes on " +
			"after that event. After the end it is answered 204, at which an EventSource stops.",
		Errors: []int{http.StatusNotFound, http.StatusConflict},
		Responses: map[string]*huma.Response{
			"200": {Description: "The events", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{OneOf: events}}}},
			"204": {Description: "The saga has ended, and the client has seen it"},
		},
	}), a.stream)
}

func (a *API) stream(ctx context.Context, in *streamInput) (*huma.StreamResponse, error) {
	number, seenEnd := strings.CutSuffix(in.LastEventID, "-end")
	last, _ := strconv.Atoi(number) // the pattern lets digits through, or nothing
	state, _, err := a.look(ctx, in.ref())
	if err != nil {
		return nil, err
	}
	if seenEnd && state.Phase.Ended() && last >= state.Revision {
		return &huma.StreamResponse{Body: func(ctx huma.Context) { ctx.SetStatus(http.StatusNoContent) }}, nil
	}
	if a.streams.Add(1) > maxStreams {
		a.streams.Add(-1)
		return nil, httpserver.Unavailable("too many streams are open; try again")
	}
	role := admin.RoleOf(ctx)
	return &huma.StreamResponse{Body: func(ctx huma.Context) { //nolint:contextcheck // a stream lives as long as its request, not as its first look
		defer a.streams.Add(-1)
		_, w := humachi.Unwrap(ctx)
		(&stream{api: a, ref: in.ref(), to: w, control: http.NewResponseController(w), seen: last, role: role}).run(ctx.Context())
	}}, nil
}

// stream sends one client the transitions of one saga.
type stream struct {
	api     *API
	ref     saga.Ref
	to      http.ResponseWriter
	control *http.ResponseController
	role    admin.Role
	seen    int  // the last transition that was sent
	looked  bool // at the saga, at least once: a client may have missed the end alone
}

// run sends each transition once. It ends with the saga, with the client, or when the server stops.
func (s *stream) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, streamFor)
	defer cancel()
	s.to.Header().Set("Content-Type", "text/event-stream")
	s.to.Header().Set("Cache-Control", "no-store")
	if s.write("retry: 1000\n\n") != nil {
		return
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	alive := time.NewTicker(cmp.Or(s.api.AliveEvery, aliveEvery))
	defer alive.Stop()
	for {
		over, err := s.sendNews(ctx)
		if err != nil {
			_ = s.send("", "trouble", Trouble{Detail: s.api.operations.Problem(ctx, "stream-saga", err).Error()}) // the client may be gone
			return
		}
		if over {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-s.api.Closing:
			return
		case <-alive.C:
			if s.send("", "alive", Alive{}) != nil {
				return
			}
		case <-look.C:
		}
	}
}

// revision is how far the saga is, within the time of a request.
func (a *API) revision(ctx context.Context, ref saga.Ref) (int, error) {
	ctx, cancel := a.operations.Within(ctx)
	defer cancel()
	return a.Sagas.Revision(ctx, ref)
}

// sendNews sends what is new. It is over when the saga has ended, or the client is gone.
func (s *stream) sendNews(ctx context.Context) (over bool, err error) {
	revision, err := s.api.revision(ctx, s.ref)
	switch {
	case err != nil:
		return false, err
	case revision < s.seen: // the database was restored: send it all again
		s.seen = 0
	case revision == s.seen && s.looked:
		return false, nil
	}
	s.looked = true
	state, lines, err := s.api.look(ctx, s.ref)
	if err != nil {
		return false, err
	}
	hidden := s.api.hiddenOf(s.role, state)
	for _, l := range hidden.lines(lines) {
		if l.Seq <= s.seen {
			continue
		}
		if s.send(strconv.Itoa(l.Seq), "transition", l) != nil {
			return true, nil //nolint:nilerr // the client has gone
		}
	}
	s.seen = state.Revision
	if !state.Phase.Ended() {
		return false, nil
	}
	_ = s.send(strconv.Itoa(state.Revision)+"-end", "end", s.api.end(state, hidden)) // the client may be gone
	return true, nil
}

func (s *stream) send(id, event string, data any) error {
	encoded, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode an event: %w", err)
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	return s.write(id + "event: " + event + "\ndata: " + string(encoded) + "\n\n")
}

func (s *stream) write(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(sendWithin)); err != nil {
		return err
	}
	if _, err := s.to.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}

func (a *API) end(s saga.State, hidden hidden) End {
	return End{
		State: a.Sagas.Registry().StateName(s), Reason: hidden.text(s.Reason),
		TookMS: float64(s.EndedAt.Sub(s.StartedAt).Microseconds()) / 1000,
	}
}
