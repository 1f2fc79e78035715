package deadletters

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/apiclient"
	api "waybill.example/chassis/deadletters"
	"waybill.example/orchestrator/console/internal/page"
)

// editPage is the form of an edited copy.
type editPage struct {
	letterPage
	// Text is what is to be edited: the payload, indented.
	Text string `json:"-"`
}

// Title implements the frame's titles.
func (p editPage) Title() string { return fmt.Sprintf("Edit dead letter %d of %s", p.ID, p.Service) }

func (s screen) editForm(ctx context.Context, r *page.Request) (any, error) {
	found, err := s.get(ctx, r)
	if err != nil {
		return nil, err
	}
	p := editPage{letterPage: newLetter(r, r.PathValue("service"), found)}
	if r.Can(admin.Reader) {
		p.Text = indented(found.Payload.Bytes())
	}
	return p, nil
}

// indented is JSON with each number as it came.
func indented(raw []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}

// edited reads the form: the copy, as short as it was written by a program.
func edited(r *page.Request) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(r.PostFormValue("payload"))); err != nil {
		return nil, page.Invalid("the payload is not JSON: " + err.Error())
	}
	return b.Bytes(), nil
}

// checked is what is different, and whether the consumer would read it.
type checked struct {
	Service  string `json:"service"`
	ID       int64  `json:"id"`
	Lines    []line `json:"lines"`
	Refused  string `json:"refused,omitempty"` // why the consumer would not
	Same     bool   `json:"same,omitzero"`     // there is no difference
	Revision int    `json:"revision"`
	Payload  string `json:"-"` // what was checked
	Type     string `json:"-"`
}

// check shows the difference, and asks the consumer whether it would read the copy. It changes
// nothing.
func (s screen) check(ctx context.Context, r *page.Request) (any, error) {
	payload, err := edited(r)
	if err != nil {
		return nil, err
	}
	before, err := s.get(ctx, r)
	if err != nil {
		return nil, err
	}
	kind := r.PostFormValue("type")
	c := checked{
		Service: r.PathValue("service"), ID: before.ID, Revision: before.Revision, Payload: string(payload), Type: kind,
		Lines: diff(indented(before.Payload.Bytes()), indented(payload)), Same: sameJSON(before.Payload.Bytes(), payload) && (kind == "" || kind == before.Type),
	}
	request := apiclient.Request{
		Path: letterPath(r, "/edit"), IfMatch: r.PostFormValue("revision"),
		Body: map[string]any{"reason": "checked in the console", "payload": payload, "type": kind, "dryRun": true},
	}
	err = post(ctx, s.service(c.Service), request, &before)
	if refusal, ok := errors.AsType[*apiclient.Refusal](err); ok && refusal.Status == http.StatusUnprocessableEntity {
		c.Refused, err = refusal.Detail, nil
	}
	return c, err
}

func sameJSON(a, b []byte) bool {
	var one, other bytes.Buffer
	return json.Compact(&one, a) == nil && json.Compact(&other, b) == nil && bytes.Equal(one.Bytes(), other.Bytes())
}

// edit puts the copy in the place of the dead letter, and redrives it if that is asked for too.
func (s screen) edit(ctx context.Context, r *page.Request) (any, error) {
	payload, err := edited(r)
	if err != nil {
		return nil, err
	}
	service := r.PathValue("service")
	edited, err := s.change(ctx, r, "edit", map[string]any{"payload": payload, "type": r.PostFormValue("type")})
	if err != nil {
		return nil, err
	}
	done := page.Result{Text: fmt.Sprintf("Dead letter %d has its place, with an id of its own", edited.ID)}
	if r.PostFormValue("redrive") != "" && edited.State == "dead" {
		var after api.DeadLetterDetail
		path := page.Path("/v1/dead-letters/%d/redrive", edited.ID)
		err = post(ctx, s.service(service), apiclient.Request{Path: path, Body: map[string]any{"reason": r.PostFormValue("reason")}}, &after)
		if err != nil {
			return nil, fmt.Errorf("it was edited, but not redriven: %w", err)
		}
		done = redriven(after, 0)
		done.Text = fmt.Sprintf("Edited: dead letter %d has its place. %s", edited.ID, redrivenText(after))
	}
	done.Link, done.Label = page.Path("/dead-letters/%s/%d", service, edited.ID), "Show the copy"
	return done, nil
}

// redrivenText is what came of redriving an edited copy.
func redrivenText(after api.DeadLetterDetail) string {
	switch after.State {
	case "redriven":
		return "Redriven: " + result(after.Result)
	case "dead":
		return "It failed again"
	}
	return "It is not applied yet"
}
