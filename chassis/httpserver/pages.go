package httpserver

import (
	"io"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"waybill.example/chassis/problem"
)

// pagePolicy is the Content-Security-Policy of our own pages: their own style, and nothing else.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// registerPages serves the page of each problem, as HTML to browsers and as Markdown to others.
func registerPages(router chi.Router) {
	router.Get(problem.Path, func(w http.ResponseWriter, r *http.Request) {
		writePage(w, r, problem.IndexHTML(), problem.Index())
	})
	router.Get(problem.Path+"{slug}", func(w http.ResponseWriter, r *http.Request) {
		t := problem.Find(chi.URLParam(r, "slug"))
		if t == nil {
			notFound(w, r)
			return
		}
		writePage(w, r, t.HTML(), t.Markdown())
	})
}

func writePage(w http.ResponseWriter, r *http.Request, html, markdown string) {
	w.Header().Set("Vary", "Accept")
	w.Header().Set("Content-Security-Policy", pagePolicy)
	body := markdown
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		body = html
	} else {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	_, _ = io.WriteString(w, body) // only a client that hung up fails here
}
