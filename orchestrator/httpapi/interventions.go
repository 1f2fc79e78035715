package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/inspect"
)

const (
	// answerWithin bounds how long an intervention is watched for what comes of it.
	answerWithin = 10 * time.Second
	watchEvery   = 25 * time.Millisecond
)

func (a *API) registerInterventions(api huma.API) {
	operation := func(id, method, path, summary string) huma.Operation {
		return admin.Secure(api, a.Tokens, huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"Interventions"},
			Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed},
		})
	}
	httpserver.Handle(a.slow, operation("retry-saga", http.MethodPost, "/v1/sagas/{id}/retry",
		"Send the commands that the saga waits for again, now, with all their attempts"),
		func(ctx context.Context, in *retryInput) (*interventionOutput, error) {
			return a.intervene(ctx, in.Target, answered, func(o saga.Operator) saga.Intervention { return saga.RetryNow{Operator: o, Step: string(in.Body.Step)} }, in.Body.Reason)
		})
	httpserver.Handle(a.slow, operation("cancel-saga", http.MethodPost, "/v1/sagas/{id}/cancel",
		"Undo the saga, also long after it completed"),
		func(ctx context.Context, in *cancelInput) (*interventionOutput, error) {
			return a.intervene(ctx, in.Target, ended, func(o saga.Operator) saga.Intervention { return saga.Cancel{Operator: o} }, in.Body.Reason)
		})
	httpserver.Handle(a.slow, operation("force-saga", http.MethodPost, "/v1/sagas/{id}/force",
		"End the saga at once, for what was settled by hand: the last word is sent, and nothing is waited for"),
		func(ctx context.Context, in *forceInput) (*interventionOutput, error) {
			return a.intervene(ctx, in.Target, answered, func(o saga.Operator) saga.Intervention { return saga.Force{Operator: o, End: string(in.Body.End)} }, in.Body.Reason)
		})
	httpserver.Handle(a.slow, operation("move-deadline", http.MethodPut, "/v1/sagas/{id}/deadlines/{step}",
		"Let a step's wait end at another time"),
		func(ctx context.Context, in *moveInput) (*interventionOutput, error) {
			return a.intervene(ctx, in.Target, answered, func(o saga.Operator) saga.Intervention {
				return saga.MoveDeadline{Operator: o, Step: string(in.Step), To: in.Body.To}
			}, in.Body.Reason)
		})
	httpserver.Handle(a.slow, operation("revoke-deadline", http.MethodDelete, "/v1/sagas/{id}/deadlines/{step}",
		"Let a step wait for its reply alone"),
		func(ctx context.Context, in *revokeInput) (*interventionOutput, error) {
			return a.intervene(ctx, in.Target, answered, func(o saga.Operator) saga.Intervention {
				return saga.RevokeDeadline{Operator: o, Step: string(in.Step)}
			}, in.Reason)
		})
}

// Target names the saga to intervene in. It is exported because huma fills in exported fields only,
// embedded ones too.
type Target struct {
	ID         httpserver.Text `path:"id" maxLength:"256" doc:"The saga's id: of an order saga, the order id"`
	Definition httpserver.Text `query:"definition" maxLength:"128" doc:"Its definition, where several have a saga of this id"`
	IfMatch    string          `header:"If-Match" maxLength:"32" doc:"The ETag of the saga that was looked at, or its revision in quotes: 412 if it has changed since, and nothing is done" example:"\"3\""`
	Wait       float64         `query:"wait" minimum:"0" maximum:"10" default:"2" doc:"Seconds to watch what comes of it before answering"`
}

func (t Target) ref() saga.Ref { return saga.Ref{Definition: string(t.Definition), ID: string(t.ID)} }

// seen is the revision that the operator looked at; 0 is any.
func (t Target) seen() (int, error) {
	if t.IfMatch == "" || t.IfMatch == "*" {
		return 0, nil
	}
	if revision, err := strconv.ParseUint(strings.Trim(t.IfMatch, `"`), 10, 31); err == nil && revision > 0 {
		return int(revision), nil
	}
	return 0, invalid("header.If-Match", "must be the ETag of the saga, which is its revision in quotes", nil)
}

type retryInput struct {
	Target
	Body struct {
		Reason httpserver.Text `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the timeline"`
		Step   httpserver.Text `json:"step,omitempty" maxLength:"128" doc:"Only this step; all that wait if left out"`
	}
}

type cancelInput struct {
	Target
	Body struct {
		Reason httpserver.Text `json:"reason" minLength:"1" maxLength:"500" doc:"Why; the client may see it"`
	}
}

type forceInput struct {
	Target
	Body struct {
		Reason httpserver.Text `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the timeline"`
		End    httpserver.Text `json:"end" minLength:"1" maxLength:"64" doc:"One of the definition's two ends, such as CONFIRMED or CANCELLED"`
	}
}

type moveInput struct {
	Target
	Step httpserver.Text `path:"step" maxLength:"128"`
	Body struct {
		Reason httpserver.Text `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the timeline"`
		To     time.Time       `json:"to" doc:"When the wait is to end"`
	}
}

type revokeInput struct {
	Target
	Step   httpserver.Text `path:"step" maxLength:"128"`
	Reason httpserver.Text `query:"reason" required:"true" minLength:"1" maxLength:"500" doc:"Why; kept in the timeline"`
}

type interventionOutput struct {
	ETag string `header:"ETag" doc:"The saga's revision when the watch ended"`
	Body Outcome
}

// Outcome is what came of an intervention while it was watched.
type Outcome struct {
	State    string       `json:"state" doc:"The saga's state when the watch ended"`
	Observed string       `json:"observed" doc:"What was seen to come of it, in words"`
	Answered bool         `json:"answered" doc:"Whether something came of it: a reply, or the end of the saga"`
	Recorded inspect.Line `json:"recorded" doc:"The intervention as it stands in the timeline"`
	Saga     Detail       `json:"saga"`
}

// aim is what an operator hopes to see of an intervention.
type aim int

const (
	answered aim = iota // that something comes of it
	ended               // that the saga ends
)

func (a *API) intervene(ctx context.Context, target Target, aim aim, input func(saga.Operator) saga.Intervention, reason httpserver.Text) (*interventionOutput, error) {
	id := target.ID
	actor := admin.Actor(ctx)
	seen, err := target.seen()
	if err != nil {
		return nil, err
	}
	operator := saga.Operator{ID: uuid.Must(uuid.NewV7()), Actor: actor, Reason: string(reason), Seen: seen}
	began := time.Now()
	if err := a.decide(ctx, target, input(operator)); err != nil {
		return nil, err
	}
	a.Log.Info("operator intervened", "saga", id, "actor", actor, "input", fmt.Sprintf("%T", input(operator)), "reason", reason)
	watch, cancel := context.WithTimeout(ctx, min(answerWithin, time.Duration(target.Wait*float64(time.Second))))
	defer cancel()
	for {
		// Not with the watch's time: the answer is due even when that is over.
		state, lines, err := a.look(ctx, target.ref())
		if err != nil {
			return nil, fmt.Errorf("the intervention was recorded; watch it: %w", err)
		}
		recorded, after := split(lines, operator.ID)
		seen := state.Phase.Ended() || aim == answered && (len(after) > 0 || len(recorded.Commands) == 0)
		if seen || watch.Err() != nil {
			return a.outcome(ctx, state, lines, recorded, after, time.Since(began))
		}
		select {
		case <-watch.Done():
		case <-time.After(watchEvery):
		}
	}
}

// decide has the engine act on what the operator wants, within the time of a request.
func (a *API) decide(ctx context.Context, target Target, in saga.Intervention) error {
	ctx, cancel := context.WithTimeout(ctx, httpserver.RequestTimeout)
	defer cancel()
	o, err := a.Runner.Intervene(ctx, runner.Intervention{Saga: target.ref(), Do: in})
	return cmp.Or(err, o.Err)
}

// look reads the saga, within the time of a request.
func (a *API) look(ctx context.Context, ref saga.Ref) (saga.State, []inspect.Line, error) {
	ctx, cancel := context.WithTimeout(ctx, httpserver.RequestTimeout)
	defer cancel()
	return a.Sagas.Get(ctx, ref)
}

// whereabouts says what became of a command, as far as the outbox shows.
func (a *API) whereabouts(ctx context.Context, id string, command uuid.UUID) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, httpserver.RequestTimeout)
	defer cancel()
	rows, err := inspect.Outbox(ctx, a.Sagas.DB(), id)
	if err != nil {
		return "", err
	}
	for _, r := range rows {
		if r.EventID != command {
			continue
		}
		s := fmt.Sprintf("outbox row %d, %s", r.ID, r.Status)
		if r.Error != "" {
			s += ": " + r.Error
		}
		return s, nil
	}
	return "not in the outbox any more", nil
}

// split finds the line of an intervention and those that came after it.
func split(lines []inspect.Line, id uuid.UUID) (recorded inspect.Line, after []inspect.Line) {
	for i, l := range lines {
		if l.CauseID != nil && *l.CauseID == id {
			return l, lines[i+1:]
		}
	}
	return inspect.Line{}, nil
}

func (a *API) outcome(ctx context.Context, s saga.State, lines []inspect.Line, recorded inspect.Line, after []inspect.Line, took time.Duration) (*interventionOutput, error) {
	out := &interventionOutput{ETag: etag(s.Revision), Body: Outcome{
		State: a.Sagas.Registry().StateName(s), Answered: len(after) > 0 || s.Phase.Ended(), Recorded: recorded, Saga: a.detail(s, lines),
	}}
	took = took.Round(time.Millisecond)
	switch {
	case s.Phase.Ended() && len(after) > 0:
		out.Body.Observed = fmt.Sprintf("the saga is %s, %s later", out.Body.State, took)
	case len(after) > 0:
		out.Body.Observed = fmt.Sprintf("%s came within %s: the saga is %s", after[len(after)-1].CauseType, took, out.Body.State)
	case s.Phase.Ended():
		out.Body.Observed = "the saga is " + out.Body.State
	case len(recorded.Commands) == 0:
		out.Body.Observed = "recorded; nothing had to be sent, the saga is " + out.Body.State
	default:
		sent := recorded.Commands[len(recorded.Commands)-1]
		where, err := a.whereabouts(ctx, s.ID, sent.ID)
		if err != nil {
			return nil, err
		}
		out.Body.Observed = fmt.Sprintf("no reply to %s within %s; the command is %s", sent.Type, took, where)
	}
	return out, nil
}
