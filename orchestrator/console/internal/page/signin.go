package page

import (
	"html/template"
	"net/http"
	"strings"
	"time"

	"waybill.example/chassis/oidc"
)

// signing adds the page to sign in, and the way out.
func (f *Frame) signing() {
	f.mux.HandleFunc("GET /sign-in", f.serving(func(w http.ResponseWriter, r *Request) error {
		return f.signInPage(w, r, http.StatusOK, "", r.URL.Query().Get("next"))
	}))
	f.mux.HandleFunc("POST /sign-in", f.serving(func(w http.ResponseWriter, r *Request) error {
		if err := f.form(w, r); err != nil {
			return err
		}
		next := r.PostForm.Get("next")
		if err := f.Sessions.SignIn(w, r.Request, strings.TrimSpace(r.PostForm.Get("token"))); err != nil {
			return f.signInPage(w, r, http.StatusUnauthorized, err.Error(), next)
		}
		http.Redirect(w, r.Request, f.Prefix+local(next), http.StatusSeeOther) //nolint:gosec // local lets no other host through
		return nil
	}))
	if f.Sessions.Provider.Interactive() {
		f.mux.HandleFunc("GET /sign-in/oidc", f.serving(f.leave))
		f.mux.HandleFunc("GET "+oidc.BackPath, f.serving(f.comeBack))
	}
	f.mux.HandleFunc("POST /sign-out", f.serving(func(w http.ResponseWriter, r *Request) error {
		if err := f.form(w, r); err != nil {
			return err
		}
		f.Sessions.SignOut(w, r.Request)
		http.Redirect(w, r.Request, f.Prefix+"/", http.StatusSeeOther)
		return nil
	}))
}

// leave sends the browser to the identity provider.
func (f *Frame) leave(w http.ResponseWriter, r *Request) error {
	next := local(r.URL.Query().Get("next"))
	address, err := f.Sessions.Leave(w, r.Request, next)
	if err != nil {
		return f.signInPage(w, r, http.StatusServiceUnavailable, err.Error(), next)
	}
	http.Redirect(w, r.Request, address, http.StatusSeeOther) //nolint:gosec // it is the provider of the settings
	return nil
}

// onward goes on from a page of ours. After a redirect of another site's, a browser would not send
// the session's cookie along, which is SameSite=Strict.
var onward = template.Must(template.New("").Parse(`<!doctype html><title>Signed in</title><meta http-equiv="refresh" content="0;url={{.}}"><p><a href="{{.}}">Go on</a></p>`))

// comeBack takes the browser from the identity provider.
func (f *Frame) comeBack(w http.ResponseWriter, r *Request) error {
	next, err := f.Sessions.Return(w, r.Request)
	if err != nil {
		return f.signInPage(w, r, http.StatusUnauthorized, err.Error(), "")
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return onward.Execute(w, f.Prefix+local(next))
}

type signInData struct{ Problem, Next string }

func (f *Frame) signInPage(w http.ResponseWriter, r *Request, status int, problem, next string) error {
	return f.html(w, status, f.renderer.signIn, "layout", View{
		Request: r, frame: f, Title: "Sign in", At: time.Now(), Data: signInData{problem, local(next)},
	})
}

// local is where to go after signing in: a path of ours, or the first page.
func local(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\n\r\t") {
		return "/"
	}
	return next
}
