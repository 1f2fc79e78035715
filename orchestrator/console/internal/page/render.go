package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed layout.html parts.html failure.html signin.html
var own embed.FS

// renderer parses templates. Each page has a set of its own: the frame's, the screen's parts and
// its own file, so that all of them may define "live".
type renderer struct {
	frame, parts         *template.Template
	failure, failurePage *template.Template
	result, signIn       *template.Template
}

func newRenderer(prefix string, a *assets) (*renderer, error) {
	r := &renderer{}
	var err error
	if r.parts, err = template.New("").Funcs(functions(prefix, a)).ParseFS(own, "parts.html"); err != nil {
		return nil, fmt.Errorf("parse the shared templates: %w", err)
	}
	if r.frame, err = r.derive(r.parts, own, "layout.html"); err != nil {
		return nil, err
	}
	if r.failurePage, err = r.derive(r.frame, own, "failure.html"); err != nil {
		return nil, err
	}
	if r.failure, err = r.derive(r.parts, own, "failure.html"); err != nil {
		return nil, err
	}
	if r.signIn, err = r.derive(r.frame, own, "signin.html"); err != nil {
		return nil, err
	}
	r.result = r.parts
	return r, nil
}

func (r *renderer) derive(from *template.Template, files fs.FS, names ...string) (*template.Template, error) {
	t, err := from.Clone()
	if err != nil {
		return nil, fmt.Errorf("copy the frame of %s: %w", strings.Join(names, ", "), err)
	}
	if t, err = t.ParseFS(files, names...); err != nil {
		return nil, fmt.Errorf("parse %s: %w", strings.Join(names, ", "), err)
	}
	return t, nil
}

// screen adds a screen's parts and one file to a set.
func (r *renderer) screen(from *template.Template, files fs.FS, name string) (*template.Template, error) {
	names, err := fs.Glob(files, "parts_*.html")
	if err != nil {
		return nil, fmt.Errorf("list the parts: %w", err)
	}
	return r.derive(from, files, append(names, name)...)
}

// page parses a page: "live" in a frame.
func (r *renderer) page(files fs.FS, name string) (*template.Template, error) {
	return r.screen(r.frame, files, name)
}

// fragment parses a piece of HTML, which its file defines as "fragment".
func (r *renderer) fragment(files fs.FS, name string) (*template.Template, error) {
	return r.screen(r.parts, files, name)
}

// html answers a template, whole or not at all.
func (f *Frame) html(w http.ResponseWriter, status int, t *template.Template, name string, view View) error {
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, view); err != nil {
		return fmt.Errorf("render %s: %w", view.URL.Path, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // only a client that hung up fails here
	return nil
}
