package httpserver

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"waybill.example/chassis/problem"
)

// methods are those that a path may have. HEAD comes with GET, and OPTIONS with any.
var methods = []string{
	http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost, http.MethodPut,
}

// allowed names the methods that a path has, as an Allow header does; "" if there is no such path.
func allowed(routes chi.Routes, r *http.Request) string {
	path := r.URL.RawPath
	if path == "" {
		path = r.URL.Path
	}
	var names []string
	for _, m := range methods {
		if !routes.Match(chi.NewRouteContext(), m, path) {
			continue
		}
		names = append(names, m)
		if m == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	if names == nil {
		return ""
	}
	return strings.Join(append(names, http.MethodOptions), ", ")
}

// notAllowed answers a method that a path does not have: OPTIONS with those that it has, and any
// other with 405.
func notAllowed(routes chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		allow := allowed(routes, r)
		if allow == "" {
			notFound(w, r)
			return
		}
		w.Header().Set("Allow", allow)
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		WriteProblem(w, r, problem.MethodNotAllowed, "method not allowed: "+cut(r.Method, maxEcho))
	}
}

func notFound(w http.ResponseWriter, r *http.Request) {
	WriteProblem(w, r, problem.NotFound, "not found: "+cut(r.URL.EscapedPath(), maxEcho))
}
