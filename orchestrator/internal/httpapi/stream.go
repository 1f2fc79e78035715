package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/sse"

	"waybill/chassis/httpserver"
	"waybill/orchestrator/internal/postgres"
	"waybill/orchestrator/saga"
)

// lookEvery is how often a stream looks for news.
const lookEvery = 100 * time.Millisecond

// maxStreams is how many clients may watch at once. Each costs a look at the database every lookEvery.
const maxStreams = 500

// aliveEvery is how often a stream without news says that it is there: proxies close what is silent,
// and a client that has gone is noticed only by a write.
const aliveEvery = 15 * time.Second

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

func (a *API) registerStream(api huma.API) {
	sse.Register(api, huma.Operation{
		OperationID: "stream-saga", Method: http.MethodGet, Path: "/v1/sagas/{orderId}/stream",
		Summary: "A saga's transitions as they happen, until it has ended", Tags: []string{"Sagas"},
	}, map[string]any{"transition": postgres.Line{}, "end": End{}, "trouble": Trouble{}, "alive": Alive{}}, a.stream)
}

// stream sends each transition once, first those that have been. It ends with
// the saga, with the client, or when the server stops.
func (a *API) stream(ctx context.Context, in *sagaInput, send sse.Sender) {
	if a.streams.Add(1) > maxStreams {
		a.streams.Add(-1)
		_ = send.Data(Trouble{Detail: "too many clients watch sagas; try again later"}) // the client may be gone
		return
	}
	defer a.streams.Add(-1)
	look, alive := time.NewTicker(lookEvery), time.NewTicker(cmp.Or(a.AliveEvery, aliveEvery))
	defer look.Stop()
	defer alive.Stop()
	for seen := 0; ; {
		revision, err := a.revision(ctx, in.ref())
		over := false
		if err == nil && revision > seen {
			over, err = a.tell(ctx, in.ref(), &seen, send)
		}
		if err != nil {
			_ = send.Data(Trouble{Detail: a.problem(err).Error()}) // the client may be gone
			return
		}
		if over {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-a.Closing:
			return
		case <-alive.C:
			if send.Data(Alive{}) != nil {
				return
			}
		case <-look.C:
		}
	}
}

// revision is how far the saga is, within the time of a request.
func (a *API) revision(ctx context.Context, ref saga.Ref) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, httpserver.RequestTimeout)
	defer cancel()
	return a.Store.Revision(ctx, ref)
}

// tell sends what is new since seen. It is over when the saga has ended, or the
// client is gone.
func (a *API) tell(ctx context.Context, ref saga.Ref, seen *int, send sse.Sender) (over bool, err error) {
	state, lines, err := a.look(ctx, ref)
	if err != nil {
		return false, err
	}
	for _, l := range lines {
		if l.Seq <= *seen {
			continue
		}
		if send(sse.Message{ID: l.Seq, Data: l}) != nil {
			return true, nil //nolint:nilerr // nobody is listening any more
		}
		*seen = l.Seq
	}
	if !state.Phase.Ended() {
		return false, nil
	}
	_ = send.Data(a.end(state)) // the client may be gone
	return true, nil
}

func (a *API) end(s saga.State) End {
	return End{
		State: a.Registry.StateName(s), Reason: s.Reason,
		TookMS: float64(s.EndedAt.Sub(s.StartedAt).Microseconds()) / 1000,
	}
}
