package saga

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Action names what an operator can do to a saga.
type Action string

// The actions, each with the [Intervention] that it stands for.
const (
	ActRetry          Action = "retry"           // RetryNow
	ActCancel         Action = "cancel"          // Cancel
	ActResolve        Action = "resolve"         // Resolve
	ActSkipWait       Action = "skip-wait"       // SkipWait
	ActEditData       Action = "edit-data"       // EditData
	ActSuspend        Action = "suspend"         // Suspend
	ActResume         Action = "resume"          // Resume
	ActRestartFrom    Action = "restart-from"    // RestartFrom
	ActForce          Action = "force"           // Force
	ActMoveDeadline   Action = "move-deadline"   // MoveDeadline
	ActRevokeDeadline Action = "revoke-deadline" // RevokeDeadline
)

// ActionOf is the name of what an intervention does.
func ActionOf(in Intervention) Action { return Action(in.cause().Type) }

// Request is an intervention as data, to be sent, stored and previewed. Which fields an action
// needs is what the [Intervention] of its name says; the others must be empty.
type Request struct {
	Action Action          `json:"action" enum:"retry,cancel,resolve,skip-wait,edit-data,suspend,resume,restart-from,force,move-deadline,revoke-deadline"`
	Step   string          `json:"step,omitempty"`
	As     StepStatus      `json:"as,omitempty" enum:"done,failed,undone" doc:"resolve: what became of the step"`
	Reply  string          `json:"reply,omitempty" doc:"resolve: the type of the reply that is stood in for"`
	Data   json.RawMessage `json:"data,omitempty" doc:"resolve: the reply's body"`
	Patch  json.RawMessage `json:"patch,omitempty" doc:"edit-data: a JSON merge patch (RFC 7396)"`
	End    string          `json:"end,omitempty" doc:"force: one of the definition's two ends"`
	To     time.Time       `json:"to,omitzero" doc:"move-deadline: when the wait is to end"`
}

// RequestError says what is wrong with a [Request], and in which of its fields.
type RequestError struct {
	Field   string // its name in JSON
	Problem string
}

func (e *RequestError) Error() string { return e.Field + ": " + e.Problem }

// For is the intervention that an operator asks for. The error is a [*RequestError].
func (r Request) For(by Operator) (Intervention, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	switch r.Action {
	case ActRetry:
		return RetryNow{by, r.Step}, nil
	case ActCancel:
		return Cancel{by}, nil
	case ActResolve:
		return Resolve{by, r.Step, r.As, r.Reply, r.Data}, nil
	case ActSkipWait:
		return SkipWait{by, r.Step}, nil
	case ActEditData:
		return EditData{by, r.Patch}, nil
	case ActSuspend:
		return Suspend{by}, nil
	case ActResume:
		return Resume{by}, nil
	case ActRestartFrom:
		return RestartFrom{by, r.Step}, nil
	case ActForce:
		return Force{by, r.End}, nil
	case ActMoveDeadline:
		return MoveDeadline{by, r.Step, r.To}, nil
	case ActRevokeDeadline:
		return RevokeDeadline{by, r.Step}, nil
	}
	return nil, unknownAction()
}

// fields are those that an action takes; those that it needs come with a "!".
var fields = map[Action][]string{
	ActRetry: {"step"}, ActCancel: nil, ActResolve: {"step!", "as!", "reply", "data"}, ActSkipWait: {"step"},
	ActEditData: {"patch!"}, ActSuspend: nil, ActResume: nil, ActRestartFrom: {"step!"}, ActForce: {"end!"},
	ActMoveDeadline: {"step", "to!"}, ActRevokeDeadline: {"step"},
}

func unknownAction() error {
	var known []string
	for a := range fields {
		known = append(known, string(a))
	}
	slices.Sort(known)
	return &RequestError{"action", "must be one of " + strings.Join(known, ", ")}
}

func (r Request) check() error {
	takes, known := fields[r.Action]
	if !known {
		return unknownAction()
	}
	given := map[string]bool{
		"step": r.Step != "", "as": r.As != "", "reply": r.Reply != "", "data": len(r.Data) > 0,
		"patch": len(r.Patch) > 0, "end": r.End != "", "to": !r.To.IsZero(),
	}
	for _, name := range []string{"step", "as", "reply", "data", "patch", "end", "to"} {
		needed := slices.Contains(takes, name+"!")
		switch {
		case needed && !given[name]:
			return &RequestError{name, fmt.Sprintf("is needed to %s", r.Action)}
		case given[name] && !needed && !slices.Contains(takes, name):
			return &RequestError{name, fmt.Sprintf("means nothing to %s", r.Action)}
		}
	}
	if r.As != "" && r.As != Done && r.As != Failed && r.As != Undone {
		return &RequestError{"as", "must be done, failed or undone"}
	}
	for name, value := range map[string]json.RawMessage{"data": r.Data, "patch": r.Patch} {
		if len(value) > 0 && !json.Valid(value) {
			return &RequestError{name, "must be JSON"}
		}
	}
	return nil
}
