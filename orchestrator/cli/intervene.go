package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"waybill.example/orchestrator/httpapi"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/inspect"
)

// intervention is what the verbs that change a saga share.
type intervention struct {
	which  `embed:""`
	Reason string  `help:"Why; kept in the timeline. Needed unless --preview."`
	Wait   float64 `help:"Seconds to watch what comes of it." default:"2"`

	Revision *int `help:"Only if the saga is still at this revision, which show and --preview print: what was decided about is what is acted on."`
	Preview  bool `help:"Only say what would be sent and what could follow; nothing is changed."`
	Depth    int  `help:"How many messages or deadlines a preview looks ahead." default:"2"`
}

// Validate is called by kong.
func (c intervention) Validate() error {
	if c.Reason == "" && !c.Preview {
		return errors.New("missing flags: --reason=STRING")
	}
	if c.Revision != nil && *c.Revision < 1 { // none would be no condition
		return errors.New("--revision must be 1 or more")
	}
	return nil
}

// do previews an intervention, or makes it and prints what came of it.
func (c intervention) do(s *Saga, t Terminal, r saga.Request) error {
	if c.Preview {
		return c.preview(s, t, r)
	}
	body := map[string]any{"reason": c.Reason}
	for name, value := range map[string]string{"step": r.Step, "as": string(r.As), "reply": r.Reply, "end": r.End} {
		if value != "" {
			body[name] = value
		}
	}
	for name, value := range map[string]json.RawMessage{"data": r.Data, "patch": r.Patch} {
		if len(value) > 0 {
			body[name] = value
		}
	}
	return c.send(s, t, http.MethodPost, "/"+string(r.Action), nil, body)
}

func (c intervention) send(s *Saga, t Terminal, method, operation string, query url.Values, body any) error {
	if query == nil {
		query = url.Values{}
	}
	query.Set("wait", strconv.FormatFloat(c.Wait, 'f', -1, 64))
	if c.Revision != nil {
		s.ifMatch = *c.Revision
	}
	var o httpapi.Outcome
	return s.show(t, method, c.path(operation, query), body, &o, func(p *printer) { p.outcome(o) })
}

// preview asks what an intervention would lead to.
func (c intervention) preview(s *Saga, t Terminal, r saga.Request) error {
	definition := c.Definition
	if definition == "" {
		var one httpapi.Detail
		answer, err := s.call(t.Context, http.MethodGet, c.path("", nil), nil)
		if err != nil {
			return err
		}
		if err := s.client().Decode(answer, &one); err != nil {
			return err
		}
		definition = one.Definition
	}
	query := url.Values{"action": {string(r.Action)}, "depth": {strconv.Itoa(c.Depth)}}
	for name, value := range map[string]string{
		"step": r.Step, "as": string(r.As), "reply": r.Reply, "end": r.End, "data": string(r.Data), "patch": string(r.Patch),
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if !r.To.IsZero() {
		query.Set("to", r.To.Format(time.RFC3339))
	}
	path := "/v1/sagas/" + url.PathEscape(definition) + "/" + url.PathEscape(c.ID) + "/preview?" + query.Encode()
	var preview httpapi.Preview
	answer, err := s.call(t.Context, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if err := s.client().Decode(answer, &preview); err != nil {
		return err
	}
	if err := s.print(t, answer, func(p *printer) { p.preview(preview) }); err != nil {
		return err
	}
	if preview.Result == runner.Refused {
		return fmt.Errorf("it would be refused: %s", preview.Because)
	}
	return nil
}

// Retry is `saga retry`.
type Retry struct {
	intervention `embed:""`
	Step         string `help:"Only this step."`
}

// Run asks again and prints what came of it.
func (c *Retry) Run(s *Saga, t Terminal) error {
	return c.do(s, t, saga.Request{Action: saga.ActRetry, Step: c.Step})
}

// Cancel is `saga cancel`.
type Cancel struct {
	intervention `embed:""`
}

// Run undoes the saga and prints what came of it.
func (c *Cancel) Run(s *Saga, t Terminal) error {
	return c.do(s, t, saga.Request{Action: saga.ActCancel})
}

// Resolve is `saga resolve`.
type Resolve struct {
	intervention `embed:""`
	Step         string `help:"The step to settle." required:""`
	As           string `help:"What became of it: done, failed or undone." enum:"done,failed,undone" required:""`
	Reply        string `help:"The type of the reply that you stand in for, where several say so."`
	Data         string `help:"The reply's body as JSON, where later steps need what it says."`
}

// Validate is called by kong.
func (c *Resolve) Validate() error {
	return errors.Join(c.intervention.Validate(), jsonFlag("--data", c.Data))
}

// Run settles the step and prints what came of it.
func (c *Resolve) Run(s *Saga, t Terminal) error {
	return c.do(s, t, saga.Request{
		Action: saga.ActResolve, Step: c.Step, As: saga.StepStatus(c.As), Reply: c.Reply, Data: json.RawMessage(c.Data),
	})
}

func jsonFlag(name, value string) error {
	if value != "" && !json.Valid([]byte(value)) {
		return fmt.Errorf("%s is not JSON: %s", name, value)
	}
	return nil
}

// SkipWait is `saga skip-wait`.
type SkipWait struct {
	intervention `embed:""`
	Step         string `help:"Whose wait, where there are several."`
}

// Run ends the wait and prints what came of it.
func (c *SkipWait) Run(s *Saga, t Terminal) error {
	return c.do(s, t, saga.Request{Action: saga.ActSkipWait, Step: c.Step})
}

// EditData is `saga edit-data`.
type EditData struct {
	intervention `embed:""`
	Patch        string `help:"A JSON merge patch (RFC 7396), such as {\"quantity\":2}; null removes a field." required:""`
}

// Validate is called by kong.
func (c *EditData) Validate() error {
	return errors.Join(c.intervention.Validate(), jsonFlag("--patch", c.Patch))
}

// Run changes the data and prints what came of it.
func (c *EditData) Run(s *Saga, t Terminal) error {
	return c.do(s, t, saga.Request{Action: saga.ActEditData, Patch: json.RawMessage(c.Patch)})
}

// suspension is a saga, or, with --all, a version of a definition.
type suspension struct {
	intervention `embed:""`
	All          bool `help:"All sagas of a version: ID is then the definition and its version, such as order@1."`
}

// Validate is called by kong.
func (c suspension) Validate() error {
	if err := c.intervention.Validate(); err != nil || !c.All {
		return err
	}
	_, version, _ := strings.Cut(c.ID, "@")
	if _, err := strconv.Atoi(version); err != nil {
		return fmt.Errorf("%q is no version of a definition, such as order@1", c.ID)
	}
	if c.Preview {
		return errors.New("--preview is for one saga; see `saga list --definition` for which there are")
	}
	return nil
}

func (c suspension) run(s *Saga, t Terminal, action saga.Action) error {
	if !c.All {
		return c.do(s, t, saga.Request{Action: action})
	}
	name, version, _ := strings.Cut(c.ID, "@")
	var o httpapi.SuspensionOutcome
	path := "/v1/definitions/" + url.PathEscape(name) + "/versions/" + version + "/" + string(action)
	return s.show(t, http.MethodPost, path, map[string]string{"reason": c.Reason}, &o, func(p *printer) {
		if o.Result == runner.NoEffect {
			p.line("Nothing to do: %s.", o.Because)
			return
		}
		p.line("Done: %s of %s. Every orchestrator follows within two seconds.", action, c.ID)
	})
}

// Suspend is `saga suspend`.
type Suspend struct {
	suspension `embed:""`
}

// Run suspends and prints what came of it.
func (c *Suspend) Run(s *Saga, t Terminal) error { return c.run(s, t, saga.ActSuspend) }

// Resume is `saga resume`.
type Resume struct {
	suspension `embed:""`
}

// Run resumes and prints what came of it.
func (c *Resume) Run(s *Saga, t Terminal) error { return c.run(s, t, saga.ActResume) }

// RestartFrom is `saga restart-from`.
type RestartFrom struct {
	intervention `embed:""`
	Step         string `help:"The step to go forward from." required:""`
}

// Run restarts the saga and prints what came of it.
func (c *RestartFrom) Run(s *Saga, t Terminal) error {
	return c.do(s, t, saga.Request{Action: saga.ActRestartFrom, Step: c.Step})
}

// Force is `saga force`.
type Force struct {
	intervention `embed:""`
	End          string `arg:"" help:"The end to force: CONFIRMED or CANCELLED."`
}

// Run ends the saga and prints what came of it.
func (c *Force) Run(s *Saga, t Terminal) error {
	return c.do(s, t, saga.Request{Action: saga.ActForce, End: c.End})
}

// Deadlines is `saga deadlines`.
type Deadlines struct {
	Within string `help:"Those that come within this time, such as 10m." default:"1h"`
	Limit  int    `help:"At most this many." default:"50"`
}

// Run lists the deadlines.
func (c *Deadlines) Run(s *Saga, t Terminal) error {
	within, err := time.ParseDuration(c.Within)
	if err != nil {
		return fmt.Errorf("--within: %q is no duration, such as 10m", c.Within)
	}
	query := url.Values{"limit": {strconv.Itoa(c.Limit)}, "before": {time.Now().Add(within).UTC().Format(time.RFC3339)}}
	var list struct{ Deadlines []inspect.Deadline }
	return s.show(t, http.MethodGet, "/v1/deadlines?"+query.Encode(), nil, &list, func(p *printer) { p.deadlines(list.Deadlines) })
}

// Deadline is `saga deadline`.
type Deadline struct {
	Move   MoveDeadline   `cmd:"" help:"Let a step's wait end at another time."`
	Revoke RevokeDeadline `cmd:"" help:"Let a step wait for its reply alone."`
}

// MoveDeadline is `saga deadline move`.
type MoveDeadline struct {
	intervention `embed:""`
	Step         string `arg:"" help:"The step."`
	To           string `help:"When the wait is to end: RFC 3339, or from now, such as 30m." required:""`
}

// Validate is called by kong.
func (c MoveDeadline) Validate() error {
	if _, err := c.moment(); err != nil {
		return err
	}
	return c.intervention.Validate()
}

// moment is when the wait is to end.
func (c MoveDeadline) moment() (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, c.To); err == nil {
		return at, nil
	}
	after, err := time.ParseDuration(c.To)
	if err != nil {
		return time.Time{}, fmt.Errorf("--to: %q is no time such as 2026-01-02T03:04:05Z, and no duration such as 30m", c.To)
	}
	return time.Now().Add(after).UTC(), nil
}

// Run moves the deadline and prints what came of it.
func (c *MoveDeadline) Run(s *Saga, t Terminal) error {
	to, err := c.moment()
	if err != nil {
		return err
	}
	if c.Preview {
		return c.preview(s, t, saga.Request{Action: saga.ActMoveDeadline, Step: c.Step, To: to})
	}
	body := map[string]any{"reason": c.Reason, "to": to}
	return c.send(s, t, http.MethodPut, "/deadlines/"+url.PathEscape(c.Step), nil, body)
}

// RevokeDeadline is `saga deadline revoke`.
type RevokeDeadline struct {
	intervention `embed:""`
	Step         string `arg:"" help:"The step."`
}

// Run revokes the deadline and prints what came of it.
func (c *RevokeDeadline) Run(s *Saga, t Terminal) error {
	if c.Preview {
		return c.preview(s, t, saga.Request{Action: saga.ActRevokeDeadline, Step: c.Step})
	}
	return c.send(s, t, http.MethodDelete, "/deadlines/"+url.PathEscape(c.Step), url.Values{"reason": {c.Reason}}, nil)
}
