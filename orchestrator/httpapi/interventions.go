package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
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
	post := func(id, verb, summary string) huma.Operation {
		return a.changing(api, huma.Operation{OperationID: id, Method: http.MethodPost, Path: "/v1/sagas/{id}/" + verb, Summary: summary})
	}
	intervention(a, post("retry-saga", "retry", "Send the commands that the saga waits for again, now, with all their attempts"), retryBody.request)
	intervention(a, post("cancel-saga", "cancel", "Undo the saga, also long after it completed"), cancelBody.request)
	intervention(a, post("resolve-saga", "resolve", "Settle one step by your word, as if its participant had said it, and let the saga go on"), resolveBody.request)
	intervention(a, post("skip-saga-wait", "skip-wait", "End what the saga waits for now: a time, an event, or a backoff"), skipBody.request)
	intervention(a, post("edit-saga-data", "edit-data", "Change the saga's data by a JSON merge patch (RFC 7396), checked against the definition's type"), editBody.request)
	intervention(a, post("suspend-saga", "suspend", "Have the saga do nothing until it is resumed: messages for it are held, its deadlines do not pass"), plainBody(saga.ActSuspend))
	intervention(a, post("resume-saga", "resume", "Let a suspended saga go on, first with the messages that were held"), plainBody(saga.ActResume))
	intervention(a, post("restart-saga", "restart-from", "Let the saga go forward again from a step that was not done, where nothing from there on was taken back"), restartBody.request)
	intervention(a, admin.For(admin.Admin, post("force-saga", "force", "End the saga at once, for what was settled by hand: the last word is sent, and nothing is waited for")), forceBody.request)
	httpserver.Handle(a.slow, a.changing(api, huma.Operation{
		OperationID: "move-deadline", Method: http.MethodPut, Path: "/v1/sagas/{id}/deadlines/{step}", Summary: "Let a step's wait end at another time",
	}), func(ctx context.Context, in *moveInput) (*interventionOutput, error) {
		return a.intervene(ctx, in.Target, saga.Request{Action: saga.ActMoveDeadline, Step: string(in.Step), To: in.Body.To}, in.Body.Reason)
	})
	httpserver.Handle(a.slow, a.changing(api, huma.Operation{
		OperationID: "revoke-deadline", Method: http.MethodDelete, Path: "/v1/sagas/{id}/deadlines/{step}", Summary: "Let a step wait for its reply alone",
	}), func(ctx context.Context, in *revokeInput) (*interventionOutput, error) {
		return a.intervene(ctx, in.Target, saga.Request{Action: saga.ActRevokeDeadline, Step: string(in.Step)}, in.Reason)
	})
	a.registerPreview(api)
	a.registerSuspensions(api)
}

// changing is an operation that needs a token.
func (a *API) changing(api huma.API, op huma.Operation) huma.Operation {
	op.Tags = []string{"Interventions"}
	op.Errors = []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed}
	return admin.Secure(api, a.Tokens, op)
}

// bodyInput is a request to intervene with a body.
type bodyInput[B any] struct {
	Target
	Body B
}

// intervention registers an intervention whose body says what to do, and why.
func intervention[B any](a *API, op huma.Operation, request func(B) (saga.Request, httpserver.Reason)) {
	httpserver.Handle(a.slow, op, func(ctx context.Context, in *bodyInput[B]) (*interventionOutput, error) {
		do, reason := request(in.Body)
		return a.intervene(ctx, in.Target, do, reason)
	})
}

// Target names the saga to intervene in. It is exported because huma fills in exported fields only,
// embedded ones too.
type Target struct {
	ID         httpserver.Text `path:"id" maxLength:"256" doc:"The saga's id: of an order saga, the order id"`
	Definition httpserver.Text `query:"definition" maxLength:"128" doc:"Its definition, where several have a saga of this id"`
	httpserver.IfMatch
	Wait float64 `query:"wait" minimum:"0" maximum:"10" default:"2" doc:"Seconds to watch what comes of it before answering"`
}

func (t Target) ref() saga.Ref { return saga.Ref{Definition: string(t.Definition), ID: string(t.ID)} }

type moveInput struct {
	Target
	Step httpserver.Text `path:"step" maxLength:"128"`
	Body struct {
		Reason httpserver.Reason `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the timeline"`
		To     time.Time         `json:"to" doc:"When the wait is to end"`
	}
}

type revokeInput struct {
	Target
	Step   httpserver.Text   `path:"step" maxLength:"128"`
	Reason httpserver.Reason `query:"reason" required:"true" minLength:"1" maxLength:"500" doc:"Why; kept in the timeline"`
}

type interventionOutput struct {
	ETag string `header:"ETag" doc:"The saga's revision when the watch ended"`
	Body Outcome
}

// Outcome is what came of an intervention while it was watched.
type Outcome struct {
	Result   runner.Result `json:"result" enum:"done,no_effect" doc:"no_effect: the saga was like that already, and nothing was written"`
	State    string        `json:"state" doc:"The saga's state when the watch ended"`
	Observed string        `json:"observed" doc:"What was seen to come of it, in words"`
	Answered bool          `json:"answered" doc:"Whether something came of it: a reply, or the end of the saga"`
	Recorded *inspect.Line `json:"recorded,omitempty" doc:"The intervention as it stands in the timeline"`
	Saga     Detail        `json:"saga"`
}

// intervene does what an operator wants, and watches what comes of it: of a cancellation the end of
// the saga, of anything else that sent something an answer.
func (a *API) intervene(ctx context.Context, target Target, request saga.Request, reason httpserver.Reason) (*interventionOutput, error) {
	actor := admin.Actor(ctx)
	hidden, err := a.hidden(ctx, target.ref())
	if err != nil {
		return nil, err
	}
	request, seen, err := a.restored(hidden, request, "body")
	if err != nil {
		return nil, err
	}
	operator := saga.Operator{ID: uuid.Must(uuid.NewV7()), Actor: actor, Reason: string(reason), Seen: cmp.Or(target.Revision(), seen)}
	if seen != 0 && operator.Seen != seen {
		return nil, saga.ErrMoved // what was put back may not be what was shown
	}
	do, err := request.For(operator)
	if err != nil {
		return nil, badRequest("body", err)
	}
	began := time.Now()
	done, err := a.decide(ctx, target, do, hidden)
	if err != nil {
		return nil, err
	}
	if done.Result == runner.NoEffect {
		return a.unchanged(ctx, target, done)
	}
	a.Log.InfoContext(ctx, "operator intervened", "saga", done.After.Ref().String(), "actor", actor, "action", request.Action, "reason", reason)
	watch, cancel := context.WithTimeout(ctx, min(answerWithin, time.Duration(target.Wait*float64(time.Second))))
	defer cancel()
	for {
		// Not with the watch's time: the answer is due even when that is over.
		state, lines, err := a.look(ctx, target.ref())
		if err != nil {
			return nil, fmt.Errorf("the intervention was recorded; watch it: %w", err)
		}
		recorded, after := split(lines, operator.ID)
		answered := request.Action != saga.ActCancel && (len(after) > 0 || len(recorded.Commands) == 0)
		if answered || state.Phase.Ended() || watch.Err() != nil {
			return a.outcome(ctx, state, lines, recorded, after, time.Since(began))
		}
		select {
		case <-watch.Done():
		case <-time.After(watchEvery):
		}
	}
}

// unchanged is the answer to an intervention that has nothing to do.
func (a *API) unchanged(ctx context.Context, target Target, done runner.Outcome) (*interventionOutput, error) {
	state, lines, err := a.look(ctx, target.ref())
	if err != nil {
		return nil, err
	}
	return &interventionOutput{ETag: etag(state.Revision), Body: Outcome{
		Result: done.Result, State: a.Sagas.Registry().StateName(state), Observed: a.hiddenOf(admin.RoleOf(ctx), state).text(done.Because), Saga: a.detail(ctx, state, lines),
	}}, nil
}

// badRequest says which field of a request is wrong.
func badRequest(in string, err error) error {
	if problem, ok := errors.AsType[*saga.RequestError](err); ok {
		return invalid(in+"."+problem.Field, problem.Problem, nil)
	}
	return err
}

// decide has the engine act on what the operator wants, within the time of a request. What is
// refused is an error.
func (a *API) decide(ctx context.Context, target Target, do saga.Intervention, hidden hidden) (runner.Outcome, error) {
	ctx, cancel := a.operations.Within(ctx)
	defer cancel()
	o, err := a.Runner.Intervene(ctx, runner.Intervention{Saga: target.ref(), Do: do})
	if err == nil && o.Result == runner.Refused {
		o.Because = hidden.text(o.Because)
		err = because(o)
	}
	return o, err
}

// because is the error of what was refused, in the engine's words where it has some of its own.
func because(o runner.Outcome) error {
	switch {
	case errors.Is(o.Err, saga.ErrBadData):
		return invalid("body", o.Because, nil)
	case errors.Is(o.Err, saga.ErrNoStep):
		return invalid("body.step", o.Because, nil)
	case errors.Is(o.Err, saga.ErrCannotResolve), errors.Is(o.Err, saga.ErrNoRestart), errors.Is(o.Err, saga.ErrSuspended):
		return huma.Error409Conflict(o.Because)
	}
	return o.Err
}

// look reads the saga, within the time of a request.
func (a *API) look(ctx context.Context, ref saga.Ref) (saga.State, []inspect.Line, error) {
	ctx, cancel := a.operations.Within(ctx)
	defer cancel()
	return a.Sagas.Get(ctx, ref)
}

// whereabouts says what became of a command, as far as the outbox shows.
func (a *API) whereabouts(ctx context.Context, id string, command uuid.UUID) (string, error) {
	ctx, cancel := a.operations.Within(ctx)
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
	recorded = a.hiddenOf(admin.RoleOf(ctx), s).lines([]inspect.Line{recorded})[0]
	out := &interventionOutput{ETag: etag(s.Revision), Body: Outcome{
		Result: runner.Done, State: a.Sagas.Registry().StateName(s), Answered: len(after) > 0 || s.Phase.Ended(), Recorded: &recorded, Saga: a.detail(ctx, s, lines),
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
