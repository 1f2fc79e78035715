package page

import (
	"net/http"
	"strings"
	"time"
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
	f.mux.HandleFunc("POST /sign-out", f.serving(func(w http.ResponseWriter, r *Request) error {
		if err := f.form(w, r); err != nil {
			return err
		}
		f.Sessions.SignOut(w, r.Request)
		http.Redirect(w, r.Request, f.Prefix+"/", http.StatusSeeOther)
		return nil
	}))
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
