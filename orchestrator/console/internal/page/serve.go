package page

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/orchestrator/console/internal/source"
)

// lowest is the role that may look at pages.
const lowest = admin.Viewer

// maxForm bounds what a change brings along, in bytes.
const maxForm = 2 << 20

// View is what templates are given as the dot.
type View struct {
	*Request
	frame *Frame

	Title string
	Data  any
	At    time.Time // when it was loaded
	Every time.Duration
	// Sources are those that were asked, and how they answered.
	Sources []source.Note
}

type servedPage struct {
	Page
	frame    *Frame
	template *template.Template
}

func (p *servedPage) every() time.Duration { return cmp.Or(p.Every, defaultEvery) }

// load asks for the data of the page.
func (p *servedPage) load(ctx context.Context, r *Request) (View, error) {
	ctx, notes := source.Collect(ctx)
	data, err := p.Load(ctx, &Request{Request: r.WithContext(ctx), Session: r.Session})
	view := View{Request: r, frame: p.frame, Title: p.Title, Data: data, At: time.Now(), Every: max(0, p.every()), Sources: notes.All()}
	if titled, ok := data.(interface{ Title() string }); ok {
		view.Title = titled.Title()
	}
	return view, err
}

func (p *servedPage) serve(w http.ResponseWriter, r *Request) error {
	if r.Header.Get("Accept") == "text/event-stream" {
		return p.stream(w, r)
	}
	view, err := p.load(r.Context(), r)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if told, ok := view.Data.(interface{ Missing() error }); ok && told.Missing() != nil {
		if !forPeople(r.Request) {
			return told.Missing()
		}
		status = p.frame.failure(r, told.Missing()).Status
	}
	w.Header().Add("Vary", "Accept")
	if wantsJSON(r.Request) {
		return writeJSON(w, http.StatusOK, struct {
			Title   string        `json:"title"`
			At      time.Time     `json:"at"`
			Sources []source.Note `json:"sources"`
			Data    any           `json:"data"`
		}{view.Title, view.At.UTC(), view.Sources, view.Data})
	}
	return p.frame.html(w, status, p.template, "layout", view)
}

type servedFragment struct {
	Fragment
	frame    *Frame
	template *template.Template
}

func (p *servedFragment) serve(w http.ResponseWriter, r *Request) error {
	if err := r.Need(cmp.Or(p.Role, lowest)); err != nil {
		return err
	}
	data, err := p.Load(r.Context(), r)
	if err != nil {
		return err
	}
	if wantsJSON(r.Request) {
		return writeJSON(w, http.StatusOK, data)
	}
	return p.frame.html(w, http.StatusOK, p.template, "fragment", View{Request: r, frame: p.frame, Data: data, At: time.Now()})
}

type servedAction struct {
	Action
	frame    *Frame
	template *template.Template
}

func (a *servedAction) serve(w http.ResponseWriter, r *Request) error {
	if err := r.Need(cmp.Or(a.Role, admin.Operator)); err != nil {
		return err
	}
	if err := a.frame.form(w, r); err != nil {
		return err
	}
	data, err := a.Do(r.Context(), r)
	a.frame.Forget()
	a.frame.feeds.look()
	if err != nil {
		return err
	}
	if wantsJSON(r.Request) {
		return writeJSON(w, http.StatusOK, data)
	}
	return a.frame.html(w, http.StatusOK, a.template, "fragment", View{Request: r, frame: a.frame, Data: data, At: time.Now()})
}

// form reads the form of a change, which must come from one of our pages.
func (f *Frame) form(w http.ResponseWriter, r *Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return errForm
	}
	if !f.Sessions.Genuine(r.Session, cmp.Or(r.Header.Get("X-CSRF-Token"), r.PostForm.Get("csrf"))) {
		return errForgery
	}
	return nil
}

// wantsJSON reports whether an answer is for a program.
func wantsJSON(r *http.Request) bool {
	if format := r.URL.Query().Get("format"); format != "" {
		return format == "json"
	}
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// forPeople reports whether an answer that says what went wrong is for a person.
func forPeople(r *http.Request) bool {
	return !wantsJSON(r) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

func writeJSON(w http.ResponseWriter, status int, data any) error {
	body, err := json.MarshalIndent(data, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the page: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // only a client that hung up fails here
	return nil
}
