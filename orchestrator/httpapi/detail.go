package httpapi

import (
	"context"
	"strconv"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/masking"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
)

// SagaID names the saga to look at. It is exported because huma fills in exported fields only.
type SagaID struct {
	ID         httpserver.Text `path:"id" maxLength:"256" doc:"The key of the saga's messages: of an order saga, the order id"`
	Definition httpserver.Text `query:"definition" maxLength:"128" doc:"Its definition, where several have a saga of this id"`
}

func (in SagaID) ref() saga.Ref {
	return saga.Ref{Definition: string(in.Definition), ID: string(in.ID)}
}

type sagaOutput struct {
	ETag string `header:"ETag" doc:"The saga's revision: what an intervention names in If-Match" example:"\"3\""`
	Body Detail
}

// etag is the entity tag of a saga: every transition makes it another one.
func etag(revision int) string { return strconv.Quote(strconv.Itoa(revision)) }

// Detail is everything about one saga.
type Detail struct {
	ID         string         `json:"id"`
	Definition string         `json:"definition"`
	Version    int            `json:"version"`
	State      string         `json:"state"`
	Says       string         `json:"says" doc:"Where it stands, in a sentence: the first line of its explanation"`
	Reason     string         `json:"reason,omitempty" doc:"Why it is being undone, or was"`
	Waits      []saga.Wait    `json:"waits,omitempty" doc:"What it waits for, and until when"`
	Steps      []StepDetail   `json:"steps" nullable:"false" doc:"How far each step has come"`
	Data       masking.View   `json:"data"`
	Masked     string         `json:"masked,omitempty" doc:"What of the data is hidden from you, in words; absent: nothing is"`
	Revision   int            `json:"revision" doc:"Transitions so far: what an intervention names to act on what was seen"`
	Trouble    string         `json:"trouble,omitempty" doc:"Why a person should look at it"`
	Stale      int            `json:"staleReplies,omitzero" doc:"Replies that were recorded and not applied"`
	StartedAt  time.Time      `json:"startedAt"`
	UpdatedAt  time.Time      `json:"updatedAt"`
	EndedAt    *time.Time     `json:"endedAt,omitempty"`
	TookMS     float64        `json:"tookMs,omitzero" doc:"Milliseconds from start to end"`
	Timeline   []inspect.Line `json:"timeline" nullable:"false"`
}

// StepDetail is how far one step has come.
type StepDetail struct {
	Name     string `json:"name"`
	Status   string `json:"status" doc:"idle, waiting, done, failed, given_up, skipped, undoing, undone, abandoned or assumed"`
	Attempts int    `json:"attempts,omitzero" doc:"Commands sent"`
	Undos    int    `json:"undos,omitzero" doc:"Undo commands sent"`
}

func (a *API) get(ctx context.Context, in *SagaID) (*sagaOutput, error) {
	state, lines, err := a.Sagas.Get(ctx, in.ref())
	if err != nil {
		return nil, err
	}
	return &sagaOutput{ETag: etag(state.Revision), Body: a.detail(ctx, state, lines)}, nil
}

// detail is a saga as who asks may see it.
func (a *API) detail(ctx context.Context, s saga.State, lines []inspect.Line) Detail {
	hidden := a.hiddenOf(admin.RoleOf(ctx), s)
	d := Detail{
		ID: s.ID, Definition: s.Definition, Version: s.Version, State: a.Sagas.Registry().StateName(s), Reason: hidden.text(s.Reason),
		Says: hidden.text(explain.FirstLine(a.Sagas.Registry(), s, time.Now())), Steps: []StepDetail{}, Data: hidden.data, Masked: hidden.data.Says(),
		Revision: s.Revision, Trouble: hidden.text(s.Trouble()), Stale: s.Stale, StartedAt: s.StartedAt, UpdatedAt: s.UpdatedAt, Timeline: hidden.lines(lines),
	}
	if s.Phase.Ended() {
		d.EndedAt = &s.EndedAt
		d.TookMS = float64(s.EndedAt.Sub(s.StartedAt).Microseconds()) / 1000
	}
	if def, ok := a.Sagas.Registry().Definition(s.Definition, s.Version); ok {
		d.Waits = def.Waits(s)
		for i, name := range def.StepNames() {
			if i >= len(s.Steps) {
				break // the definition was changed under its version
			}
			st := s.Steps[i]
			status := string(st.Status)
			if status == "" {
				status = "idle"
			}
			d.Steps = append(d.Steps, StepDetail{Name: name, Status: status, Attempts: st.Attempt, Undos: st.Undo})
		}
	}
	return d
}
