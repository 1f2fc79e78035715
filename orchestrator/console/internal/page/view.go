package page

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"waybill.example/chassis/admin"
)

// Nav is a place in the navigation.
type Nav struct {
	Title, Path, Key string
	Current          bool
}

// Nav are the screens, the first is where one begins.
func (v View) Nav() []Nav {
	var all []Nav
	for _, s := range v.frame.Screens {
		if s.Title == "" {
			continue
		}
		here := v.URL.Path == s.Path || s.Path != "/" && strings.HasPrefix(v.URL.Path, strings.TrimSuffix(s.Path, "/")+"/")
		all = append(all, Nav{s.Title, v.frame.Prefix + s.Path, s.Key, here})
	}
	return all
}

// CSRF is what a change brings along; scripts send it with every change by themselves.
func (v View) CSRF() string { return v.frame.Sessions.CSRF(v.Session) }

// Prefix is where the console is mounted.
func (v View) Prefix() string { return v.frame.Prefix }

// Stream is where the page hears of changes: its own URL.
func (v View) Stream() string { return v.frame.Prefix + v.URL.RequestURI() }

// Configured reports whether anybody can sign in, and Setting names what says who can.
func (v View) Configured() bool { return v.frame.Sessions.Configured() }

// Interactive reports whether people can sign in by an identity provider, and ProviderName is its
// host.
func (v View) Interactive() bool { return v.frame.Sessions.Provider.Interactive() }

// ProviderName is what people know the identity provider by.
func (v View) ProviderName() string { return v.frame.Sessions.Provider.Host() }

// Setting names the environment variable of the tokens.
func (v View) Setting() string { return v.frame.Sessions.Setting() }

// May is Can for templates: {{if .May "operator"}}.
func (v View) May(name string) (bool, error) {
	need, err := role(name)
	return v.Can(need), err
}

// Why is why the person who looks may not do what needs a role; empty: they may.
func (v View) Why(name string) (string, error) {
	need, err := role(name)
	switch {
	case err != nil || v.Can(need):
		return "", err
	case !v.Configured():
		return "Changes are off: set " + v.Setting() + " to name=token pairs", nil
	case !v.Session.SignedIn():
		return "Sign in as " + need.String() + " to do this", nil
	}
	return fmt.Sprintf("%s has the role %s; this needs %s", v.Session.Name, v.Session.Role, need), nil
}

// Query returns the URL of the page with parameters changed: names and values, an empty value takes
// one away. A page begins again: its cursor is dropped.
func (v View) Query(pairs ...string) string {
	query := v.URL.Query()
	query.Del("cursor")
	query.Del("format")
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			query.Del(pairs[i])
			continue
		}
		query.Set(pairs[i], pairs[i+1])
	}
	if encoded := query.Encode(); encoded != "" {
		return v.frame.Prefix + v.URL.Path + "?" + encoded
	}
	return v.frame.Prefix + v.URL.Path
}

// Asked is a parameter of the page's URL.
func (v View) Asked(name string) string { return v.URL.Query().Get(name) }

// Time is an instant as people read it: the script shows it as relative or absolute, local or UTC,
// as they like; without a script it is UTC.
func (v View) Time(t any) (template.HTML, error) {
	var at time.Time
	switch t := t.(type) {
	case time.Time:
		at = t
	case *time.Time:
		if t != nil {
			at = *t
		}
	default:
		return "", fmt.Errorf("%T is no time", t)
	}
	if at.IsZero() {
		return "–", nil
	}
	at = at.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, at.Format(time.RFC3339Nano), at.Format("2006-01-02 15:04:05 UTC"))), nil //nolint:gosec // nothing of it is anybody's text
}

// Countdown is the time until an instant, which the script counts down.
func (v View) Countdown(t any) (template.HTML, error) {
	text, err := v.Time(t)
	return template.HTML(strings.Replace(string(text), "<time ", `<time data-countdown `, 1)), err //nolint:gosec // nothing of it is anybody's text
}

// Dot is what a part is given that needs the page besides its own data.
func (v View) Dot(pairs ...any) (map[string]any, error) {
	m, err := dict(pairs...)
	if err == nil {
		m["View"] = v
	}
	return m, err
}

// Anonymous reports whether nobody has signed in and the page can be seen all the same.
func (v View) Anonymous() bool { return !v.Session.SignedIn() && v.Can(admin.Viewer) }
