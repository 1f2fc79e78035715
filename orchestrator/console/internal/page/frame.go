// Package page is the frame of the console: how a screen becomes pages, how they are rendered, kept
// live and answered as JSON, who may see and change what, and what an error looks like. A screen
// knows none of that: it says what it loads and how that looks (see [Screen]).
//
//	screen.go   what a screen is made of
//	frame.go    the routes of all screens
//	serve.go    one request: page, fragment, change, JSON
//	live.go     pages that are kept up to date
//	render.go   templates; funcs.go: what they can use
//	errors.go   errors as pages, fragments and problems
//	headers.go  what browsers may do with our pages
//	signin.go   the page to sign in
//	layout.html, parts.html  the frame in HTML, and the parts that templates share
package page

import (
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"

	"waybill.example/chassis/httpserver"
	"waybill.example/orchestrator/console/internal/session"
)

// Config is what a frame is made of.
type Config struct {
	Prefix   string // without a slash at its end
	Sessions *session.Manager
	Screens  []Screen
	Assets   fs.FS
	Log      *slog.Logger
	Waiting  *httpserver.Waiting
	// Forget has the sources asked again, after a change.
	Forget func()
}

// Frame serves the pages. It is safe for concurrent use.
type Frame struct {
	Config
	mux      *http.ServeMux
	assets   *assets
	renderer *renderer
	feeds    *feeds
	handler  http.Handler
}

// New returns the frame of screens. The error is that of a template.
func New(c Config) (*Frame, error) {
	f := &Frame{Config: c, mux: http.NewServeMux()}
	f.feeds = newFeeds(f)
	var err error
	if f.assets, err = newAssets(c.Assets); err != nil {
		return nil, err
	}
	if f.renderer, err = newRenderer(c.Prefix, f.assets); err != nil {
		return nil, err
	}
	f.mux.Handle("GET /assets/", f.assets)
	f.signing()
	for _, s := range c.Screens {
		if err := f.add(s); err != nil {
			return nil, fmt.Errorf("screen %s: %w", s.Title, err)
		}
	}
	f.mux.HandleFunc("/", f.serving(func(http.ResponseWriter, *Request) error { return errNoPage }))
	f.handler = http.StripPrefix(c.Prefix, f.secured(f.mux))
	return f, nil
}

// ServeHTTP implements [http.Handler].
func (f *Frame) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.handler.ServeHTTP(w, r) }

// add adds the routes of a screen.
func (f *Frame) add(s Screen) error {
	for _, p := range s.Pages {
		t, err := f.renderer.page(s.Templates, p.Template)
		if err != nil {
			return err
		}
		one := &servedPage{Page: p, frame: f, template: t}
		f.mux.HandleFunc("GET "+exact(p.Path), f.reading(one.serve))
	}
	for _, p := range s.Fragments {
		t, err := f.renderer.fragment(s.Templates, p.Template)
		if err != nil {
			return err
		}
		f.mux.HandleFunc("GET "+exact(p.Path), f.reading((&servedFragment{p, f, t}).serve))
	}
	for _, a := range s.Actions {
		t := f.renderer.result
		if a.Template != "" {
			var err error
			if t, err = f.renderer.fragment(s.Templates, a.Template); err != nil {
				return err
			}
		}
		f.mux.HandleFunc("POST "+exact(a.Path), f.serving((&servedAction{a, f, t}).serve))
	}
	for path, raw := range s.Raw {
		f.mux.HandleFunc("GET "+exact(path), f.reading(raw))
	}
	return nil
}

// exact has a pattern match its path alone, and not all below it.
func exact(path string) string {
	if strings.HasSuffix(path, "/") {
		return path + "{$}"
	}
	return path
}

// secured sets the headers of all answers, and refuses changes that a page of another origin sends.
func (f *Frame) secured(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.fail(w, f.request(r), errForeign) //nolint:contextcheck // the request has it
	}))
	protected := protection.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setHeaders(w.Header())
		protected.ServeHTTP(w, r)
	})
}

// request finds out who asks.
func (f *Frame) request(r *http.Request) *Request {
	who := f.Sessions.Of(r)
	return &Request{Request: r.WithContext(session.With(r.Context(), who)), Session: who}
}

// serving is a handler whose error is answered.
func (f *Frame) serving(serve func(http.ResponseWriter, *Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		request := f.request(r)
		if err := serve(w, request); err != nil {
			f.fail(w, request, err) //nolint:contextcheck // the request has it
		}
	}
}

// reading is serving for those who may read.
func (f *Frame) reading(serve func(http.ResponseWriter, *Request) error) http.HandlerFunc {
	return f.serving(func(w http.ResponseWriter, r *Request) error {
		if !r.Can(lowest) {
			return errSignIn
		}
		return serve(w, r)
	})
}
