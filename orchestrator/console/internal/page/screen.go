package page

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/orchestrator/console/internal/session"
)

// Screen is a part of the console: its place in the navigation, its pages, and what can be changed
// from them.
type Screen struct {
	// Title, Path and Key are its place in the navigation: `g` and the key go there. A screen
	// without a title has none.
	Title, Path, Key string
	// Templates has a file for each page and fragment, and parts_*.html, which all of them can use.
	Templates fs.FS
	Pages     []Page
	Fragments []Fragment
	Actions   []Action
	// Raw are answers that are no pages: downloads, the data of a plot. They are for who may see
	// the screen; an error is answered as everywhere.
	Raw map[string]func(w http.ResponseWriter, r *Request) error
}

// Page is what has a URL. The same URL answers JSON (Accept: application/json, or ?format=json):
// the page's data as it is. A template defines "live", what is shown again whenever it has changed,
// and may define "head", above it, with what a person types into, and "foot", below it.
type Page struct {
	Path     string // a pattern of [http.ServeMux] without a method, such as /sagas/{id}
	Template string
	Title    string
	// Every is how often it is looked whether the page has changed; 2 seconds if it is 0. Never
	// looks not at all.
	Every time.Duration
	// Load returns what the template shows as .Data. An error becomes a page of its own: what a
	// service refused, with its status. Data with a Missing() error that is not nil is of something
	// that may yet come: people are shown its page, with the error's status, programs the error.
	Load func(ctx context.Context, r *Request) (any, error)
}

// Never is for a page that does not change by itself.
const Never time.Duration = -1

const defaultEvery = 2 * time.Second

// Fragment is a piece of HTML that a page fetches by hx-get: a preview for instance. Its template
// is rendered as it is, without the frame.
type Fragment struct {
	Path, Template string
	Role           admin.Role // that it needs; Viewer if it is 0
	Load           func(ctx context.Context, r *Request) (any, error)
}

// Action is a change: a POST. Its answer replaces the button's form, or what hx-target says.
type Action struct {
	Path string
	Role admin.Role // that it needs; Operator if it is 0
	// Template renders what Do returned; empty: it returns a [Result].
	Template string
	Do       func(ctx context.Context, r *Request) (any, error)
}

// Result is what came of a change, for people.
type Result struct {
	Text    string `json:"text"`             // what came of it, one sentence: "sent; answered in 38 ms: CONFIRMED"
	Detail  string `json:"detail,omitempty"` // more of it
	Link    string `json:"link,omitempty"`   // a path of the console where it can be seen, and what it is called
	Label   string `json:"label,omitempty"`
	Problem bool   `json:"problem,omitzero"` // it was not done, or nothing came of it
}

// Request is a request, and who sent it.
type Request struct {
	*http.Request
	Session session.Session
}

// Can reports whether the person who asks has a role.
func (r *Request) Can(role admin.Role) bool { return r.Session.Role >= role }

// Need returns the error of a person who has not the role, for what is no [Action].
func (r *Request) Need(role admin.Role) error {
	if r.Can(role) {
		return nil
	}
	return &forbiddenError{r.Session, role}
}

// Payload is what a saga or a message carries: other people's data, which not every role may see.
type Payload struct {
	raw    json.RawMessage
	masked bool
}

// Payload returns what the person who asks may see of a payload. All that a page takes over from an
// API and that is a payload goes through it; where it does not, a viewer sees what is not for
// viewers.
func (r *Request) Payload(raw []byte) Payload {
	if !r.Can(admin.Reader) {
		return Payload{masked: len(raw) > 0}
	}
	return Payload{raw: raw}
}

// Text is Payload for what is no JSON: a key, an error that quotes data.
func (r *Request) Text(s string) string {
	if s != "" && !r.Can(admin.Reader) {
		return Masked
	}
	return s
}

// Masked is shown in place of what a viewer may not see.
const Masked = "••••••"

// Masked reports whether there is something that may not be seen.
func (p Payload) Masked() bool { return p.masked }

// Empty reports whether there is nothing.
func (p Payload) Empty() bool { return len(p.raw) == 0 && !p.masked }

// String is the payload as it came.
func (p Payload) String() string {
	if p.masked {
		return Masked
	}
	return string(p.raw)
}

// MarshalJSON implements [json.Marshaler].
func (p Payload) MarshalJSON() ([]byte, error) {
	switch {
	case p.masked:
		return json.Marshal(Masked)
	case len(p.raw) == 0:
		return []byte("null"), nil
	case json.Valid(p.raw):
		return p.raw, nil
	}
	return json.Marshal(string(p.raw))
}
