package page_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/oidc"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/session"
)

// The tokens of the roles.
const (
	viewerToken   = "vvvvvvvvvvvvvvvv"
	operatorToken = "oooooooooooooooo"
	adminToken    = "aaaaaaaaaaaaaaaa"
)

// console is a frame with one screen, mounted below /c.
type console struct {
	*httptest.Server
	client *http.Client
	loads  atomic.Int64
	value  atomic.Int64
	done   []string
}

type shown struct {
	Name    string       `json:"name"`
	Value   int64        `json:"value"`
	Payload page.Payload `json:"payload"`
	Key     string       `json:"key"`
}

// Missing says that the thing "later" is there once its value is.
func (s shown) Missing() error {
	if s.Name == "later" && s.Value == 0 {
		return &apiclient.Refusal{Status: http.StatusNotFound, Detail: "there is no such thing"}
	}
	return nil
}

const template = `
{{define "live"}}<p id="value">{{.Data.Value}}</p><p id="name">{{.Data.Name}}</p>{{template "payload" .Data.Payload}}{{.Data.Key}}
{{template "action" ($.Dot "Label" "Retry" "Path" (url "/things/%s/retry" .Data.Name) "Count" 3)}}
{{template "action" ($.Dot "Label" "Discard all" "Path" (url "/all/discard") "Role" "admin")}}{{end}}`

func newConsole(t *testing.T, nobody admin.Role, pairs ...string) *console {
	t.Helper()
	return newConsoleWith(t, nobody, func(string) *oidc.Provider { return nil }, pairs...)
}

// newConsoleWith is newConsole with an identity provider, which is given the console's address.
func newConsoleWith(t *testing.T, nobody admin.Role, provider func(url string) *oidc.Provider, pairs ...string) *console {
	t.Helper()
	tokens, err := admin.Parse("TEST_TOKENS", pairs)
	require.NoError(t, err)
	c := &console{Server: httptest.NewUnstartedServer(nil)}
	people := provider("http://" + c.Listener.Addr().String() + "/c")
	sessions, err := session.New(tokens.With(people.Identifier()), nobody, "/c", "")
	require.NoError(t, err)
	sessions.Provider = people
	load := func(_ context.Context, r *page.Request) (any, error) {
		c.loads.Add(1)
		return shown{r.PathValue("name"), c.value.Load(), r.Payload([]byte(`{"card":4711000000000000123}`)), r.Text("the-key")}, nil
	}
	do := func(_ context.Context, r *page.Request) (any, error) {
		c.done = append(c.done, r.Session.Name+" "+r.PostForm.Get("reason"))
		return page.Result{Text: "done"}, nil
	}
	frame, err := page.New(page.Config{
		Prefix: "/c", Sessions: sessions, Log: slog.New(slog.DiscardHandler), Waiting: httpserver.NewWaiting(100), Forget: func() {},
		Assets: fstest.MapFS{
			"console.css": {Data: []byte("body{}")}, "console.js": {}, "theme.js": {}, "icon.svg": {}, "x/htmx.min.js": {}, "x/idiomorph.min.js": {},
		},
		Screens: []page.Screen{{
			Title: "Things", Path: "/things/", Key: "t", Templates: fstest.MapFS{"thing.html": {Data: []byte(template)}},
			Pages: []page.Page{{Path: "/things/{name}", Template: "thing.html", Title: "Thing", Every: 20 * time.Millisecond, Load: load}},
			Actions: []page.Action{
				{Path: "/things/{name}/retry", Do: do},
				{Path: "/all/discard", Role: admin.Admin, Do: do},
				{Path: "/typo", Do: func(context.Context, *page.Request) (any, error) { return nil, page.Invalid("that is no id") }},
			},
		}},
	})
	require.NoError(t, err)
	c.Config.Handler = frame
	c.Start()
	t.Cleanup(c.Close)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	c.client = &http.Client{Jar: jar}
	return c
}

// every is one of each role.
func every(t *testing.T, token string) *console {
	t.Helper()
	c := newConsole(t, admin.Nobody, "vic:viewer="+viewerToken, "olga:operator="+operatorToken, "ada="+adminToken)
	if token != "" {
		c.signIn(t, token)
	}
	return c
}

func (c *console) signIn(t *testing.T, token string) {
	t.Helper()
	answer := c.post(t, "/c/sign-in", url.Values{"token": {token}, "csrf": {c.csrf(t)}}, nil)
	require.Equal(t, http.StatusNotFound, answer.StatusCode, "signed in, and sent to /, which this console does not have")
}

// ask sends a request, and returns its answer with its body.
func (c *console) ask(t *testing.T, method, path string, body url.Values, header map[string]string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.URL+path, strings.NewReader(body.Encode()))
	require.NoError(t, err)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	answer, err := c.client.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	var text strings.Builder
	_, err = bufio.NewReader(answer.Body).WriteTo(&text)
	require.NoError(t, err)
	return answer, text.String()
}

func (c *console) get(t *testing.T, path string) (*http.Response, string) {
	t.Helper()
	return c.ask(t, http.MethodGet, path, nil, nil)
}

func (c *console) post(t *testing.T, path string, body url.Values, header map[string]string) *http.Response {
	t.Helper()
	answer, _ := c.ask(t, http.MethodPost, path, body, header)
	return answer
}

// csrf is the token that the console's pages have.
func (c *console) csrf(t *testing.T) string {
	t.Helper()
	_, html := c.get(t, "/c/sign-in")
	_, rest, found := strings.Cut(html, `<meta name="csrf" content="`)
	require.True(t, found)
	token, _, _ := strings.Cut(rest, `"`)
	return token
}

func TestFrame_APageIsHTMLAndJSONAtOneURL(t *testing.T) {
	t.Parallel()
	c := every(t, operatorToken)
	answer, html := c.get(t, "/c/things/a%2Fb")
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Contains(t, html, `<p id="name">a/b</p>`)
	require.Contains(t, html, `action="/c/sign-out"`, "links have the prefix")
	require.Contains(t, html, `hx-post="/c/things/a%2Fb/retry"`)
	for _, path := range []string{"/c/things/a%2Fb?format=json", "/c/things/a%2Fb"} {
		answer, body := c.ask(t, http.MethodGet, path, nil, map[string]string{"Accept": "application/json"})
		require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
		require.Contains(t, body, `4711000000000000123`, "numbers are exact")
		var page struct{ Data struct{ Name string } }
		require.NoError(t, json.Unmarshal([]byte(body), &page))
		require.Equal(t, "a/b", page.Data.Name)
	}
}

func TestFrame_TextOfOthersStaysText(t *testing.T) {
	t.Parallel()
	c := every(t, operatorToken)
	_, html := c.get(t, "/c/things/"+url.PathEscape(`<script>alert(1)</script>"'`))
	require.NotContains(t, html, "<script>alert")
	require.Contains(t, html, "&lt;script&gt;alert")
}

func TestFrame_PagesAllowNoScriptOrStyleButOurs(t *testing.T) {
	t.Parallel()
	c := every(t, operatorToken)
	for _, path := range []string{"/c/things/a", "/c/sign-in", "/c/nothing"} {
		answer, html := c.get(t, path)
		policy := answer.Header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'")
		require.Contains(t, policy, "script-src 'self';")
		require.NotContains(t, policy, "unsafe")
		require.Equal(t, "nosniff", answer.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
		require.NotRegexp(t, ` style=| on[a-z]+=|<style|<script>`, html)
	}
}

func TestFrame_WhoHasNotSignedInSeesNothing(t *testing.T) {
	t.Parallel()
	c := every(t, "")
	answer, html := c.get(t, "/c/things/a")
	require.Equal(t, "/c/sign-in", answer.Request.URL.Path)
	require.Equal(t, "/things/a", answer.Request.URL.Query().Get("next"))
	require.NotContains(t, html, "the-key")
	answer, body := c.ask(t, http.MethodGet, "/c/things/a", nil, map[string]string{"Accept": "application/json"})
	require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
	require.Contains(t, body, "sign in")
	require.Zero(t, c.loads.Load())

	refused := c.post(t, "/c/sign-in", url.Values{"token": {"wrong"}, "csrf": {c.csrf(t)}}, nil)
	require.Equal(t, http.StatusUnauthorized, refused.StatusCode)
}

// Where nobody configured tokens, all who reach the console look, and nobody changes anything.
func TestFrame_WithoutTokensItIsForLooking(t *testing.T) {
	t.Parallel()
	c := newConsole(t, admin.Reader)
	answer, html := c.get(t, "/c/things/a")
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Contains(t, html, "no tokens are configured. Set TEST_TOKENS")
	require.Contains(t, html, "4711000000000000123", "as the API shows it")
	require.NotContains(t, html, "hx-post")
	require.Equal(t, http.StatusForbidden, c.post(t, "/c/things/a/retry", url.Values{"csrf": {c.csrf(t)}}, nil).StatusCode)
	require.Empty(t, c.done)
}

func TestFrame_AViewerSeesNoPayload(t *testing.T) {
	t.Parallel()
	c := every(t, viewerToken)
	for _, path := range []string{"/c/things/a", "/c/things/a?format=json"} {
		answer, body := c.get(t, path)
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.NotContains(t, body, "4711000000000000123")
		require.NotContains(t, body, "the-key")
	}
}

func TestFrame_AButtonIsThereForWhoMay(t *testing.T) {
	t.Parallel()
	_, viewer := every(t, viewerToken).get(t, "/c/things/a")
	require.NotContains(t, viewer, "hx-post")
	require.Contains(t, viewer, `data-why="vic has the role viewer; this needs operator"`)
	_, operator := every(t, operatorToken).get(t, "/c/things/a")
	require.Contains(t, operator, `hx-post="/c/things/a/retry"`)
	require.Contains(t, operator, `data-why="olga has the role operator; this needs admin"`)
	_, all := every(t, adminToken).get(t, "/c/things/a")
	require.Contains(t, all, `hx-post="/c/all/discard"`)
}

func TestFrame_AChangeNeedsTheRoleAndTheForm(t *testing.T) {
	t.Parallel()
	c := every(t, operatorToken)
	form := url.Values{"reason": {"tkt-1"}, "csrf": {c.csrf(t)}}
	require.Equal(t, http.StatusForbidden, c.post(t, "/c/things/a/retry", url.Values{"reason": {"x"}}, nil).StatusCode, "no token of a form")
	require.Equal(t, http.StatusForbidden, c.post(t, "/c/all/discard", form, nil).StatusCode, "an admin's")
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		require.Equal(t, http.StatusForbidden, c.post(t, "/c/things/a/retry", form, map[string]string{name: value}).StatusCode, name)
	}
	require.Empty(t, c.done)
	require.Equal(t, http.StatusOK, c.post(t, "/c/things/a/retry", form, nil).StatusCode)
	require.Equal(t, http.StatusOK, c.post(t, "/c/things/a/retry", url.Values{"reason": {"by header"}}, map[string]string{"X-CSRF-Token": form.Get("csrf")}).StatusCode)
	require.Equal(t, []string{"olga tkt-1", "olga by header"}, c.done)

	invalid, html := c.ask(t, http.MethodPost, "/c/typo", form, map[string]string{"HX-Request": "true"})
	require.Equal(t, http.StatusUnprocessableEntity, invalid.StatusCode)
	require.Contains(t, html, "that is no id")
	require.NotContains(t, html, "<html", "a fragment, to be shown where it was clicked")
}

func TestFrame_SigningInGoesToNoOtherHost(t *testing.T) {
	t.Parallel()
	for _, next := range []string{"https://evil.example/", "//evil.example/", `/\evil.example`, "/\t/evil.example", ""} {
		c := every(t, "")
		answer := c.post(t, "/c/sign-in", url.Values{"token": {operatorToken}, "csrf": {c.csrf(t)}, "next": {next}}, nil)
		require.Equal(t, c.URL+"/c/", answer.Request.URL.String(), next)
	}
	c := every(t, "")
	answer := c.post(t, "/c/sign-in", url.Values{"token": {operatorToken}, "csrf": {c.csrf(t)}, "next": {"/things/a?x=1"}}, nil)
	require.Equal(t, "/c/things/a?x=1", answer.Request.URL.RequestURI())
}

func TestFrame_AssetsAreKeptForAYear(t *testing.T) {
	t.Parallel()
	c := every(t, "")
	_, html := c.get(t, "/c/sign-in")
	_, rest, _ := strings.Cut(html, `<link rel="stylesheet" href="`)
	path, _, _ := strings.Cut(rest, `"`)
	require.Regexp(t, `^/c/assets/console-[0-9a-f]{12}\.css$`, path)
	answer, body := c.get(t, path)
	require.Equal(t, "body{}", body)
	require.Contains(t, answer.Header.Get("Cache-Control"), "immutable")
	answer, _ = c.get(t, "/c/assets/console-000000000000.css")
	require.Equal(t, http.StatusNotFound, answer.StatusCode)
}

// stream reads the events of a page until the test ends.
func (c *console) stream(t *testing.T, path string) <-chan string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL+path, nil)
	require.NoError(t, err)
	r.Header.Set("Accept", "text/event-stream")
	answer, err := c.client.Do(r)
	require.NoError(t, err)
	require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	events := make(chan string, 1000)
	go func() {
		defer close(events)
		defer answer.Body.Close()
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				events <- data
			}
		}
	}()
	return events
}

// Of what may yet come people are shown its page, which goes on by itself, and programs the error.
func TestFrame_WhatIsMissingMayCome(t *testing.T) {
	t.Parallel()
	c := every(t, operatorToken)
	answer, html := c.get(t, "/c/things/later")
	require.Equal(t, http.StatusNotFound, answer.StatusCode)
	require.Contains(t, html, `<p id="value">0</p>`)
	require.Contains(t, html, `data-stream="/c/things/later"`)
	for _, accept := range []string{"application/json", "*/*"} {
		answer, body := c.ask(t, http.MethodGet, "/c/things/later", nil, map[string]string{"Accept": accept})
		require.Equal(t, http.StatusNotFound, answer.StatusCode)
		require.Equal(t, "application/problem+json", answer.Header.Get("Content-Type"))
		require.Contains(t, body, "there is no such thing")
	}
	events := c.stream(t, "/c/things/later")
	c.value.Store(4711)
	require.Eventually(t, func() bool { return strings.Contains(<-events, "4711") }, 30*time.Second, time.Millisecond)
	answer, _ = c.get(t, "/c/things/later")
	require.Equal(t, http.StatusOK, answer.StatusCode)
}

// All who have a page open see a change, and the page is loaded once for them all, and not at all
// once they are gone.
func TestFrame_OpenPagesShareTheirLooks(t *testing.T) {
	t.Parallel()
	c := every(t, operatorToken)
	var readers []<-chan string
	for range 30 {
		readers = append(readers, c.stream(t, "/c/things/a"))
	}
	sees := func(reader <-chan string, text string) {
		deadline := time.After(30 * time.Second)
		for {
			select {
			case event := <-reader:
				if strings.Contains(event, text) {
					return
				}
			case <-deadline:
				require.Fail(t, "no event with "+text)
			}
		}
	}
	for _, r := range readers {
		sees(r, `id=\"name\"`)
	}
	began, from := time.Now(), c.loads.Load()
	c.value.Store(4711)
	for _, r := range readers {
		sees(r, "4711")
	}
	loads := c.loads.Load() - from
	looks := int64(time.Since(began)/(20*time.Millisecond)) + 2 // after they were counted
	require.LessOrEqual(t, loads, looks, "one look each time, not thirty")

	c.CloseClientConnections()
	var last int64
	require.Eventually(t, func() bool {
		same := c.loads.Load() == last
		last = c.loads.Load()
		return same
	}, 30*time.Second, 200*time.Millisecond, "nobody is there, and nothing is loaded")
}
