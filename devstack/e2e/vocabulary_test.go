package e2e_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/problem"
	"waybill.example/devstack/stack"
)

// document is as much of an OpenAPI document as is looked at here.
type document struct {
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		SecuritySchemes map[string]any `json:"securitySchemes"`
	} `json:"components"`
}

type operation struct {
	OperationID string                `json:"operationId"`
	Summary     string                `json:"summary"`
	Security    []map[string][]string `json:"security"`
	Parameters  []struct {
		Name, In string
		Schema   struct {
			Type, Default, Maximum, MaxLength any
			Format                            string
		}
	} `json:"parameters"`
	RequestBody *struct{} `json:"requestBody"`
	Responses   map[string]struct {
		Content map[string]any `json:"content"`
	} `json:"responses"`
}

func (o operation) stream() bool {
	_, is := o.Responses["200"].Content["text/event-stream"]
	return is
}

// api is one operation of one service, and how to ask for it.
type api struct {
	operation
	base, method, path, token string
}

// ask sends a request; a body is JSON if there is one.
func (a api) ask(t *testing.T, method, path, body string, header http.Header) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, a.base+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+a.token)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(request.Header, header)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err, "%s %s", method, path)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(answer)
}

// refused requires an answer of the document, with a status, as a problem whose page exists.
func (a api) refused(t *testing.T, status int, path, body string, header http.Header) {
	t.Helper()
	response, answer := a.ask(t, a.method, path, body, header)
	what := a.method + " " + path + " " + body[:min(len(body), 50)] + ": " + answer[:min(len(answer), 500)]
	require.Equal(t, status, response.StatusCode, what)
	require.Contains(t, a.Responses, strconv.Itoa(response.StatusCode), what)
	require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"), what)
	var p struct{ Type, Instance, TraceID string }
	require.NoError(t, json.Unmarshal([]byte(answer), &p), what)
	require.NotNil(t, problem.Find(strings.TrimPrefix(p.Type, problem.Path)), what)
	require.Len(t, p.TraceID, 32, what)
	require.Equal(t, strings.SplitN(path, "?", 2)[0], p.Instance, what)
}

// apis are all operations of all services, as their documents have them.
func (s *system) apis(t *testing.T) (all []api) {
	t.Helper()
	env, err := os.ReadFile(filepath.Join(s.dir, "env"))
	require.NoError(t, err)
	token := regexp.MustCompile(`RELAY_TOKEN='([^']+)'`).FindSubmatch(env)
	require.NotNil(t, token)
	for _, service := range []string{stack.Orders, stack.Inventory, stack.Orchestrator, stack.Relay} {
		base := s.url(t, service, "")
		status, body, _ := call(t, http.MethodGet, base+"/openapi.json", "")
		require.Equal(t, http.StatusOK, status)
		var d document
		require.NoError(t, json.Unmarshal([]byte(body), &d))
		for path, methods := range d.Paths {
			for method, op := range methods {
				all = append(all, api{op, base, strings.ToUpper(method), path, string(token[1])})
				for _, scheme := range op.Security {
					for name := range scheme {
						require.Contains(t, d.Components.SecuritySchemes, name, op.OperationID)
					}
				}
			}
		}
		status, page, _ := call(t, http.MethodGet, base+"/docs", "")
		require.Equal(t, http.StatusOK, status)
		require.NotRegexp(t, `https?:|<script| src=`, page)
	}
	return all
}

// The same hostile inputs get the same answers from every route of every service. The routes are
// those of the documents, so that a new one is tried by itself.
func (s *system) vocabulary(t *testing.T) {
	for _, a := range s.apis(t) {
		t.Run(a.OperationID+" "+a.path, func(t *testing.T) {
			a.documented(t)
			a.hostilePaths(t)
			a.hostileQueries(t)
			if a.RequestBody != nil {
				a.hostileBodies(t)
			}
			a.hostileConditions(t)
			a.otherMethods(t)
		})
	}
}

var kebab = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)

func (a api) documented(t *testing.T) {
	require.Regexp(t, kebab, a.OperationID)
	require.NotEmpty(t, a.Summary)
	for _, status := range []string{"400", "406", "421", "422", "500", "503"} {
		require.Contains(t, a.Responses, status)
	}
	for _, p := range a.Parameters {
		if p.Name != "limit" {
			continue
		}
		require.InDelta(t, 50, p.Schema.Default, 0, "the page of every list")
		require.InDelta(t, 500, p.Schema.Maximum, 0, "the page of every list")
	}
	if len(a.Security) == 0 {
		return
	}
	response, answer := a.ask(t, a.method, a.valid(), `{}`, http.Header{"Authorization": nil})
	// Anyone may read on loopback; and on a stack the stock may be changed without a token, which
	// gets as far as the body.
	require.Contains(t, []int{http.StatusUnauthorized, http.StatusOK, http.StatusNotFound, http.StatusUnprocessableEntity}, response.StatusCode, answer)
}

// valid is the operation's path with parameters that can exist.
func (a api) valid() string {
	path := a.path
	for _, p := range a.Parameters {
		value := "1"
		if p.Schema.Format == "uuid" {
			value = "0198f2a0-0000-7000-8000-000000000001"
		}
		path = strings.ReplaceAll(path, "{"+p.Name+"}", value)
	}
	return path
}

func (a api) hostilePaths(t *testing.T) {
	for _, p := range a.Parameters {
		if p.In != "path" {
			continue
		}
		for _, value := range []string{"%00", "a%00b", "%FF", "%ED%A0%80"} {
			path := strings.Replace(a.path, "{"+p.Name+"}", value, 1)
			for _, other := range a.Parameters {
				path = strings.ReplaceAll(path, "{"+other.Name+"}", "1")
			}
			a.refused(t, http.StatusBadRequest, path, "", nil)
		}
	}
}

func (a api) hostileQueries(t *testing.T) {
	path := a.valid()
	for _, query := range []string{"x=%00", "x=%FF", "x=%ED%A0%80", "x=%zz", "%FF=1", "a;b"} {
		a.refused(t, http.StatusBadRequest, path+"?"+query, "", nil)
	}
	a.refused(t, http.StatusNotAcceptable, path, "", http.Header{"Accept": {"video/mp4"}})
	a.refused(t, http.StatusUnprocessableEntity, path+"?nonsense=1", "", nil)
	for _, p := range a.Parameters {
		if p.In != "query" {
			continue
		}
		a.refused(t, http.StatusUnprocessableEntity, path+"?"+url.QueryEscape(p.Name)+"=", "", nil)
		if p.Schema.Type == "string" || p.Schema.Type == "integer" {
			a.refused(t, http.StatusUnprocessableEntity, path+"?"+p.Name+"=1&"+p.Name+"=1", "", nil)
		}
		if p.Schema.Type == "integer" || p.Schema.Type == "number" {
			for _, value := range []string{"2147483648", "9223372036854775807", "-2147483649", "-9223372036854775808", "1e300"} {
				response, answer := a.ask(t, a.method, path+"?"+p.Name+"="+value, "", nil)
				require.Less(t, response.StatusCode, 500, "%s=%s: %s", p.Name, value, answer)
			}
			a.refused(t, http.StatusUnprocessableEntity, path+"?"+p.Name+"=NaN", "", nil)
			a.refused(t, http.StatusUnprocessableEntity, path+"?"+p.Name+"=Inf", "", nil)
		}
		if p.Name == "cursor" {
			a.refused(t, http.StatusUnprocessableEntity, path+"?cursor=AAAAAAAAAAA", "", nil)
		}
	}
}

func (a api) hostileBodies(t *testing.T) {
	path := a.valid()
	for _, body := range []string{
		`{`, `{"a":1}x`, "{\"a\":\"\xff\"}", `{"a":"\u0000"}`, `{"a":"\ud800"}`, `{"\udc00":1}`, `{"a":{"b":"\ud83d\u0041"}}`, `{"a":1,"a":1}`,
	} {
		a.refused(t, http.StatusBadRequest, path, body, nil)
	}
	a.refused(t, http.StatusUnsupportedMediaType, path, `{}`, http.Header{"Content-Type": {"text/plain"}})
	a.refused(t, http.StatusUnsupportedMediaType, path, `{}`, http.Header{"Content-Type": nil})
	a.refused(t, http.StatusUnsupportedMediaType, path, `{}`, http.Header{"Content-Encoding": {"gzip"}})
	a.refused(t, http.StatusRequestEntityTooLarge, path, `{"a":"`+strings.Repeat("a", 64<<10)+`"}`, nil)
	a.refused(t, http.StatusUnprocessableEntity, path, `{"nonsense":1}`, nil)
	a.refused(t, http.StatusUnprocessableEntity, path, `[]`, nil)
}

// A condition that is no list of entity tags is refused, and not taken for a weaker one, by
// everything that takes conditions.
func (a api) hostileConditions(t *testing.T) {
	for _, p := range a.Parameters {
		if p.Name != "If-Match" {
			continue
		}
		require.InDelta(t, 1024, p.Schema.MaxLength, 0, "one declaration of the header for all")
		for _, tags := range []string{"", "1", "1, 2", `"1`, `'1'`, `"1" "2"`, `*, "1"`, `w/"1"`, `"1", 2`} {
			a.refused(t, http.StatusBadRequest, a.valid(), "", http.Header{"If-Match": {tags}})
		}
		a.refused(t, http.StatusBadRequest, a.valid(), "", http.Header{"If-Match": {`"1"`, "2"}})
	}
}

func (a api) otherMethods(t *testing.T) {
	path := a.valid()
	response, _ := a.ask(t, http.MethodOptions, path, "", nil)
	require.Equal(t, http.StatusNoContent, response.StatusCode)
	allow := strings.Split(response.Header.Get("Allow"), ", ")
	require.True(t, slices.Contains(allow, a.method), "%s in %s", a.method, allow)
	response, _ = a.ask(t, http.MethodTrace, path, "", nil)
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	require.Equal(t, strings.Join(allow, ", "), response.Header.Get("Allow"))
	if a.method != http.MethodGet || a.stream() {
		return
	}
	head, body := a.ask(t, http.MethodHead, path, "", nil)
	got, _ := a.ask(t, http.MethodGet, path, "", nil)
	require.Equal(t, got.StatusCode, head.StatusCode)
	require.Less(t, head.StatusCode, 500)
	require.Empty(t, body)
}
