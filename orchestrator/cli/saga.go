// Package cli is the command `orchestrator saga`: what the HTTP API shows and
// does, for people at a terminal and for scripts.
package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/httpapi"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/saga/runner/inspect"
)

// Saga is the command and its verbs.
type Saga struct {
	apiclient.Flags `embed:"" envprefix:"ORCHESTRATOR_" set:"service=the orchestrator" set:"url=http://127.0.0.1:8082"`

	JSON bool `help:"Print JSON, as the API gave it." name:"json"`

	ifMatch int // the revision that an intervention is for; 0 is any

	List    List    `cmd:"" help:"List sagas, newest first."`
	Show    Show    `cmd:"" help:"Show one saga with its timeline."`
	Explain Explain `cmd:"" help:"Say why a saga is where it is, and what stands in the way."`
	Event   Event   `cmd:"" help:"Deliver an event that sagas await: an approval, for instance."`

	Retry       Retry       `cmd:"" help:"Send the commands that a saga waits for again, now, with all their attempts."`
	Cancel      Cancel      `cmd:"" help:"Undo a saga."`
	Resolve     Resolve     `cmd:"" help:"Settle one step by your word, as if its participant had said it."`
	SkipWait    SkipWait    `cmd:"" help:"End what a saga waits for now: a time, an event, or a backoff."`
	EditData    EditData    `cmd:"" help:"Change a saga's data by a JSON merge patch."`
	Suspend     Suspend     `cmd:"" help:"Have a saga, or all of a version, do nothing until resumed."`
	Resume      Resume      `cmd:"" help:"Let a suspended saga, or all of a suspended version, go on."`
	RestartFrom RestartFrom `cmd:"" help:"Let a saga go forward again from a step that was not done."`
	Force       Force       `cmd:"" help:"End a saga at once, for what was settled by hand: the last word is sent, and nothing is waited for."`
	Deadlines   Deadlines   `cmd:"" help:"List what is being waited for, the earliest deadline first."`
	Deadline    Deadline    `cmd:"" help:"Move or revoke the deadline of a step."`
	Batch       Batch       `cmd:"" help:"Do one of these to every saga that a filter chooses. Without --yes: only say which."`

	Diagram Diagram `cmd:"" help:"Print a definition as a diagram."`

	Versions Versions `cmd:"" help:"Say what is left of each version of the definitions, and which can be removed."`
}

// Terminal is where a command writes, and how long it may take.
type Terminal struct {
	Context context.Context // of the process: kong hands one value to the verb that was chosen
	Out     io.Writer
}

// List is `saga list`.
type List struct {
	State      string   `help:"Only this state, such as RUNNING or CONFIRMED."`
	Definition string   `help:"Only this definition."`
	Attributes []string `help:"Only those with this search attribute, such as sku=burger; may be repeated." name:"attr" placeholder:"NAME=VALUE" sep:"none"`
	Step       string   `help:"Only those that wait for this step."`
	Attempt    int      `help:"Only those whose wait is at this attempt, or a later one."`
	Overdue    bool     `help:"Only those whose deadline has passed."`
	Stuck      bool     `help:"Only those that a person should look at."`
	Version    int      `help:"Only this version of the definition."`
	OlderThan  string   `help:"Only those that began longer ago, such as 90s or 2h."`
	Limit      int      `help:"At most this many." default:"50"`
	Cursor     string   `help:"Go on where the page before ended."`
}

// Run prints a page of sagas.
func (c *List) Run(s *Saga, t Terminal) error {
	query := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	for _, condition := range c.Attributes {
		query.Add("attr", condition)
	}
	for name, value := range map[string]string{
		"state": c.State, "definition": c.Definition, "olderThan": c.OlderThan, "cursor": c.Cursor,
		"overdue": yes(c.Overdue), "stuck": yes(c.Stuck), "version": number(c.Version),
		"step": c.Step, "attempt": number(c.Attempt),
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	var page struct {
		Sagas []httpapi.SagaLine
		Next  string
	}
	return s.show(t, http.MethodGet, "/v1/sagas?"+query.Encode(), nil, &page, func(p *printer) { p.list(page.Sagas, page.Next) })
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return ""
}

// which names one saga.
type which struct {
	ID         string `arg:"" help:"The saga's id: of an order saga, the order id."`
	Definition string `help:"Its definition, where several have a saga of this id."`
}

// path is where the API has the saga, or one of its operations.
func (c which) path(operation string, query url.Values) string {
	if c.Definition != "" {
		if query == nil {
			query = url.Values{}
		}
		query.Set("definition", c.Definition)
	}
	path := "/v1/sagas/" + url.PathEscape(c.ID) + operation
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// Show is `saga show`.
type Show struct {
	which `embed:""`
}

// Run prints one saga.
func (c *Show) Run(s *Saga, t Terminal) error {
	var detail httpapi.Detail
	return s.show(t, http.MethodGet, c.path("", nil), nil, &detail, func(p *printer) { p.detail(detail) })
}

// Explain is `saga explain`.
type Explain struct {
	which `embed:""`
}

// Run prints why a saga is where it is.
func (c *Explain) Run(s *Saga, t Terminal) error {
	var e explain.Report
	return s.show(t, http.MethodGet, c.path("/explain", nil), nil, &e, func(p *printer) { p.report(e) })
}

// Event is `saga event`.
type Event struct {
	ID      string `arg:"" help:"The saga's id. Every saga with it that awaits the event gets it."`
	Type    string `arg:"" help:"The event's type, such as TripApproved."`
	EventID string `help:"Identifies the event: sent again under the same id, it is not applied again. A new one if left out." name:"event-id"`
	Data    string `help:"What the event says, as JSON." default:"{}"`
}

// Run delivers the event.
func (c *Event) Run(s *Saga, t Terminal) error {
	if c.EventID == "" {
		c.EventID = uuid.NewString()
	}
	if !json.Valid([]byte(c.Data)) {
		return fmt.Errorf("--data is not JSON: %s", c.Data)
	}
	body := map[string]any{"type": c.Type, "data": json.RawMessage(c.Data)}
	path := "/v1/sagas/" + url.PathEscape(c.ID) + "/events/" + url.PathEscape(c.EventID)
	var answer struct{ Applied bool }
	return s.show(t, http.MethodPut, path, body, &answer, func(p *printer) {
		if answer.Applied {
			p.line("%s was delivered to %s under the id %s.", c.Type, c.ID, c.EventID)
		} else {
			p.line("%s was delivered before: the id %s is known.", c.Type, c.EventID)
		}
	})
}

// Diagram is `saga diagram`.
type Diagram struct {
	Name    string `arg:"" help:"The definition's name." default:"order"`
	Version int    `help:"The version; the newest if left out."`
	Format  string `help:"mermaid, svg or json." enum:"mermaid,svg,json" default:"mermaid"`
}

// Run prints the diagram.
func (c *Diagram) Run(s *Saga, t Terminal) error {
	format := c.Format
	if s.JSON {
		format = "json"
	}
	query := url.Values{"format": {format}, "version": {strconv.Itoa(c.Version)}}
	body, err := s.call(t.Context, http.MethodGet, "/v1/definitions/"+url.PathEscape(c.Name)+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	_, err = t.Out.Write(append(body, '\n'))
	return err
}

// Versions is `saga versions`.
type Versions struct{}

// Run prints what is left of each version.
func (*Versions) Run(s *Saga, t Terminal) error {
	var list struct{ Versions []inspect.VersionUse }
	return s.show(t, http.MethodGet, "/v1/versions", nil, &list, func(p *printer) { p.versions(list.Versions) })
}
