// Package problem is the vocabulary of errors that the services have in common: what can be wrong
// with a request, under which URI and status (RFC 9457), what it means and what a client can do
// about it. A service's own errors are entries of the same table, so that a client meets one word
// for one thing, and every problem that it can be sent has a page: in docs/problems, which is
// generated from here, and at its URI in every service.
//
// To add a problem, add it to types.go, run `go generate ./chassis/problem`, and name it in an
// [waybill.example/chassis/httpserver.Answer] or give it to httpserver.NewProblem.
package problem

import (
	"iter"
	"net/http"
	"slices"
)

// Path is where every service serves the pages of problems.
const Path = "/problems/"

// Type is a kind of problem. Its URI and its title are the same whenever it happens; what is
// special about one occurrence is in that problem's detail.
type Type struct {
	Slug   string // the last part of its URI, kebab-case; it never changes
	Status int
	Title  string
	Means  string // what has happened, for the developer of a client
	Remedy string // what a client or its developer can do
}

// URI identifies the type. It is relative, with its full path, so that it can be followed on
// whichever host a service is reached by; clients compare it as text.
func (t *Type) URI() string { return Path + t.Slug }

// Types returns every type, by slug.
func Types() iter.Seq[*Type] { return slices.Values(types) }

// Find returns the type of a slug, or nil.
func Find(slug string) *Type {
	i, found := slices.BinarySearchFunc(types, slug, func(t *Type, slug string) int { return compare(t.Slug, slug) })
	if !found {
		return nil
	}
	return types[i]
}

// OfStatus returns the type of an answer of which only the status is known.
func OfStatus(status int) *Type {
	if t, known := general[status]; known {
		return t
	}
	if status >= http.StatusInternalServerError {
		return Internal
	}
	return InvalidRequest
}
