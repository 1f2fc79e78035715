package page

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/problem"
	"waybill.example/orchestrator/console/internal/session"
	"waybill.example/orchestrator/console/internal/source"
)

var (
	errNoPage  = errors.New("there is no such page")
	errSignIn  = errors.New("sign in to see this")
	errForeign = errors.New("a page of another origin may not change anything here")
	errForgery = errors.New("this form is from before you signed in or out; load the page again")
	errBusy    = errors.New("too many pages are open; this one is not kept up to date")
	errForm    = errors.New("the form cannot be read")
)

// forbiddenError is what this person may not do.
type forbiddenError struct {
	who  session.Session
	need admin.Role
}

func (e *forbiddenError) Error() string {
	if !e.who.SignedIn() {
		return "sign in as " + e.need.String() + " to do this"
	}
	return fmt.Sprintf("%s has the role %s; this needs %s", e.who.Name, e.who.Role, e.need)
}

// Invalid is the error of what was typed: 422, with a sentence for them.
type Invalid string

func (e Invalid) Error() string { return string(e) }

// Failure is an error as a page shows it.
type Failure struct {
	Status int
	Title  string
	Detail string
}

// failure says what an error means to people. What nobody was meant to see is logged, and not
// shown.
func (f *Frame) failure(r *Request, err error) Failure {
	_, forbidden := errors.AsType[*forbiddenError](err)
	_, invalid := errors.AsType[Invalid](err)
	refusal, refused := errors.AsType[*apiclient.Refusal](err)
	silent, unreachable := errors.AsType[*apiclient.Unreachable](err)
	switch {
	case errors.Is(err, errNoPage):
		return Failure{http.StatusNotFound, "There is no such page", "Press / to search for an id, or choose a screen."}
	case errors.Is(err, errSignIn):
		return Failure{http.StatusUnauthorized, "Sign in", err.Error()}
	case errors.Is(err, errForeign), errors.Is(err, errForgery), forbidden:
		return Failure{http.StatusForbidden, "Not allowed", err.Error()}
	case errors.Is(err, errForm):
		return Failure{http.StatusBadRequest, "The form cannot be read", err.Error()}
	case invalid:
		return Failure{http.StatusUnprocessableEntity, "That cannot be done", err.Error()}
	case errors.Is(err, errBusy):
		return Failure{http.StatusServiceUnavailable, "Too many pages are open", err.Error()}
	case refused:
		return Failure{refusal.Status, titles[refusal.Status], refusal.Detail}
	case unreachable:
		return Failure{http.StatusServiceUnavailable, "The " + silent.Name + " does not answer", silent.Error()}
	case errors.Is(err, source.NotConfigured{}):
		return Failure{http.StatusNotFound, "Not configured", err.Error()}
	}
	f.Log.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "error", err)
	return Failure{http.StatusInternalServerError, "Something went wrong here", "It has been logged."}
}

var titles = map[int]string{
	http.StatusNotFound: "Not found", http.StatusUnauthorized: "The service does not know your token", http.StatusForbidden: "Not allowed",
	http.StatusConflict: "Not possible now", http.StatusPreconditionFailed: "It has changed since you looked", http.StatusUnprocessableEntity: "That cannot be done",
	http.StatusTooManyRequests: "Too many requests", http.StatusServiceUnavailable: "The service is not available",
}

// fail answers an error: a page to people, a fragment to htmx, a problem to programs.
func (f *Frame) fail(w http.ResponseWriter, r *Request, err error) {
	failed := f.failure(r, err)
	if failed.Title == "" {
		failed.Title = http.StatusText(failed.Status)
	}
	view := View{Request: r, frame: f, Title: failed.Title, Data: failed, At: time.Now()}
	switch {
	case r.Header.Get("HX-Request") != "":
		err = f.html(w, failed.Status, f.renderer.failure, "fragment", view)
	case !forPeople(r.Request):
		httpserver.WriteProblem(w, r.Request, problem.OfStatus(failed.Status), failed.Detail)
		return
	case errors.Is(err, errSignIn) && f.Sessions.Configured():
		http.Redirect(w, r.Request, f.Prefix+"/sign-in?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		return
	default:
		err = f.html(w, failed.Status, f.renderer.failurePage, "layout", view)
	}
	if err != nil {
		f.Log.ErrorContext(r.Context(), "error page failed", "path", r.URL.Path, "error", err)
	}
}
