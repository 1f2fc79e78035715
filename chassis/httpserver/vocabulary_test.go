package httpserver_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/problem"
)

type shelf struct {
	httpserver.Page
	Colour string   `query:"colour" maxLength:"10"`
	Tags   []string `query:"tag,explode" maxItems:"3"`
	Note   string   `header:"X-Note" maxLength:"10"`
}

type shelfPage struct {
	httpserver.Paged
	Body struct {
		Next string `json:"next,omitempty"`
	}
}

type parcelID struct {
	ID int64 `path:"id" minimum:"1"`
}

type tagged struct {
	ETag string `header:"ETag"`
	Body struct {
		ID int64 `json:"id"`
	}
}

// library is an API with an operation of each kind; ended is closed when a stream's body returns.
func library(t *testing.T) (handler http.Handler, ended chan struct{}) {
	t.Helper()
	server, err := httpserver.New(httpserver.Config{Addr: "127.0.0.1:0"}, httpserver.Options{
		Title: "Library", Version: "1", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	ended = make(chan struct{})
	ops := httpserver.Operations{API: server.API, Log: slog.New(slog.DiscardHandler)}
	httpserver.Handle(ops, huma.Operation{OperationID: "list-shelf", Method: http.MethodGet, Path: "/shelf"},
		func(ctx context.Context, in *shelf) (*shelfPage, error) {
			out := &shelfPage{}
			if in.Cursor == "" {
				out.Body.Next = httpserver.EncodeCursor("a", "b")
			}
			out.Paged = httpserver.Next(ctx, out.Body.Next)
			_, err := httpserver.DecodeCursor(in.Cursor, 2)
			return out, err
		})
	httpserver.Handle(ops, huma.Operation{OperationID: "get-book", Method: http.MethodGet, Path: "/books/{id}"},
		func(_ context.Context, in *parcelID) (*tagged, error) {
			out := &tagged{ETag: httpserver.ETag("7")}
			out.Body.ID = in.ID
			return out, nil
		})
	httpserver.Handle(ops, huma.Operation{OperationID: "get-leaflet", Method: http.MethodGet, Path: "/leaflets/{id}"},
		func(context.Context, *parcelID) (*tagged, error) { return &tagged{}, nil })
	httpserver.Handle(ops, huma.Operation{OperationID: "set-book", Method: http.MethodPut, Path: "/books/{id}"},
		func(_ context.Context, in *struct {
			parcelID
			httpserver.IfMatch
		},
		) (*struct{}, error) {
			if seen := in.Seen(); seen != "" && seen != "7" {
				return nil, httpserver.NewProblem(problem.Changed, "the book has changed since")
			}
			return nil, nil
		})
	httpserver.Handle(ops, huma.Operation{
		OperationID: "watch-book", Method: http.MethodGet, Path: "/books/{id}/stream",
		Responses: map[string]*huma.Response{"200": {Content: map[string]*huma.MediaType{"text/event-stream": {}}}},
	}, func(context.Context, *parcelID) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			defer close(ended)
			_, w := humachi.Unwrap(ctx)
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: 1\n\n")
			<-ctx.Context().Done()
		}}, nil
	})
	return server.Router, ended
}

func ask(t *testing.T, h http.Handler, method, target string, headers ...string) (*http.Response, httpserver.Problem) {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, "/", nil)
	path, query, _ := strings.Cut(target, "?")
	r.URL.Path, r.URL.RawQuery = path, query
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	h.ServeHTTP(w, r)
	var p httpserver.Problem
	if w.Header().Get("Content-Type") == "application/problem+json" {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
		require.Equal(t, w.Code, p.Status)
		require.Len(t, p.TraceID, 32)
		require.NotNil(t, problem.Find(strings.TrimPrefix(p.Type, problem.Path)), p.Type)
	}
	return w.Result(), p
}

func TestOperations_RefuseWhatCannotBeReadInOneWay(t *testing.T) {
	t.Parallel()
	library, _ := library(t)
	for name, tt := range map[string]struct {
		target  string
		headers []string
		want    *problem.Type
		at      string
	}{
		"an id that is a word":    {"/books/x", nil, problem.InvalidRequest, "path.id"},
		"an id of zero":           {"/books/0", nil, problem.InvalidRequest, "path.id"},
		"a NUL in the path":       {"/books/1\x00", nil, problem.InvalidRequest, "path"},
		"a path that is not text": {"/books/\xff", nil, problem.InvalidRequest, "path"},
		"a query that is none":    {"/shelf?colour=%zz", nil, problem.InvalidRequest, "query"},
		"a semicolon":             {"/shelf?colour=a;limit=1", nil, problem.InvalidRequest, "query"},
		"a NUL in the query":      {"/shelf?colour=%00", nil, problem.InvalidRequest, "query"},
		"half a character":        {"/shelf?colour=%ed%a0%80", nil, problem.InvalidRequest, "query"},
		"a name that is not text": {"/shelf?%ff=1", nil, problem.InvalidRequest, "query"},
		"a header of latin 1":     {"/shelf", []string{"X-Note", "caf\xe9"}, problem.InvalidRequest, "header.X-Note"},
		"an empty filter":         {"/shelf?colour=", nil, problem.ValidationFailed, "query.colour"},
		"a filter without =":      {"/shelf?colour", nil, problem.ValidationFailed, "query.colour"},
		"an empty cursor":         {"/shelf?cursor=", nil, problem.ValidationFailed, "query.cursor"},
		"a filter twice":          {"/shelf?colour=red&colour=blue", nil, problem.ValidationFailed, "query.colour"},
		"an unknown parameter":    {"/shelf?color=red", nil, problem.ValidationFailed, "query.color"},
		"a page too large":        {"/shelf?limit=501", nil, problem.ValidationFailed, "query.limit"},
		"a page of nothing":       {"/shelf?limit=0", nil, problem.ValidationFailed, "query.limit"},
		"a cursor of nobody":      {"/shelf?cursor=AAAA", nil, problem.InvalidCursor, "query.cursor"},
		"a cursor not in base64":  {"/shelf?cursor=%3F", nil, problem.InvalidCursor, "query.cursor"},
		"a type nobody answers":   {"/shelf", []string{"Accept", "text/html, image/*;q=0.5"}, problem.NotAcceptable, ""},
		"JSON that is refused":    {"/shelf", []string{"Accept", "*/*, application/json;q=0"}, problem.NotAcceptable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response, p := ask(t, library, http.MethodGet, tt.target, tt.headers...)
			require.Equal(t, tt.want.Status, response.StatusCode, p)
			require.Equal(t, tt.want.URI(), p.Type)
			require.Equal(t, tt.want.Title, p.Title)
			require.True(t, tt.at == "" || p.Errors[0].Location == tt.at, p.Errors)
		})
	}
	for name, accept := range map[string]string{
		"a browser": "text/html,application/xhtml+xml,*/*;q=0.8", "axios": "application/json, text/plain, */*", "a family": "application/*;q=0.1",
		"upper case": "Application/JSON",
	} {
		response, _ := ask(t, library, http.MethodGet, "/shelf?tag=a&tag=b", "Accept", accept)
		require.Equal(t, http.StatusOK, response.StatusCode, name)
	}
}

func TestProblem_SaysWhereItHappened(t *testing.T) {
	t.Parallel()
	library, _ := library(t)
	_, p := ask(t, library, http.MethodGet, "/books/x", "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	require.Equal(t, "/books/x", p.Instance)
	require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", p.TraceID)
	_, q := ask(t, library, http.MethodGet, "/books/x")
	_, r := ask(t, library, http.MethodGet, "/books/x")
	require.NotEqual(t, q.TraceID, r.TraceID)
	_, p = ask(t, library, http.MethodGet, "/nowhere")
	require.Equal(t, problem.NotFound.URI(), p.Type)
	require.Equal(t, "/nowhere", p.Instance)
	_, p = ask(t, library, http.MethodGet, "/"+strings.Repeat("a", 1000))
	require.Empty(t, p.Instance)
}

func TestServer_AnswersEveryMethod(t *testing.T) {
	t.Parallel()
	library, ended := library(t)
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{http.MethodHead, "/shelf", 200, ""},
		{http.MethodHead, "/livez", 200, ""},
		{http.MethodOptions, "/shelf", 204, "GET, HEAD, OPTIONS"},
		{http.MethodOptions, "/books/1", 204, "GET, HEAD, PUT, OPTIONS"},
		{http.MethodOptions, "/nowhere", 404, ""},
		{http.MethodPost, "/shelf", 405, "GET, HEAD, OPTIONS"},
		{http.MethodTrace, "/books/1", 405, "GET, HEAD, PUT, OPTIONS"},
		{"BREW", "/books/1", 405, "GET, HEAD, PUT, OPTIONS"},
		{"BREW", "/nowhere", 404, ""},
		{http.MethodHead, "/nowhere", 404, ""},
		{http.MethodHead, "/books/1/stream", 200, ""},
	} {
		response, _ := ask(t, library, tt.method, tt.path)
		require.Equal(t, tt.status, response.StatusCode, tt)
		require.Equal(t, tt.allow, response.Header.Get("Allow"), tt)
	}
	<-ended // the stream that nobody reads
}

func TestNext_IsTheSameRequestWithTheCursor(t *testing.T) {
	t.Parallel()
	library, _ := library(t)
	response, _ := ask(t, library, http.MethodGet, "/shelf?colour=dark+red&limit=1")
	require.Equal(t, `</shelf?colour=dark+red&cursor=YQBi&limit=1>; rel="next"`, response.Header.Get("Link"))
	response, _ = ask(t, library, http.MethodGet, "/shelf?colour=dark+red&cursor=YQBi&limit=1")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Empty(t, response.Header.Get("Link"))
}

func TestHandle_AnswersNotModified(t *testing.T) {
	t.Parallel()
	library, _ := library(t)
	for known, status := range map[string]int{`"7"`: 304, `W/"7"`: 304, `"1", "7"`: 304, `*`: 304, `"8"`: 200, ``: 200} {
		response, _ := ask(t, library, http.MethodGet, "/books/1", "If-None-Match", known)
		require.Equal(t, status, response.StatusCode, known)
		require.Equal(t, `"7"`, response.Header.Get("ETag"))
	}
}

// A later page, say, has no tag, which is not what a client has that sends no If-None-Match.
func TestHandle_AnswersInFullWhatHasNoETag(t *testing.T) {
	t.Parallel()
	library, _ := library(t)
	for _, headers := range [][]string{nil, {"If-None-Match", ""}, {"If-None-Match", "*"}} {
		response, _ := ask(t, library, http.MethodGet, "/leaflets/1", headers...)
		require.Equal(t, http.StatusOK, response.StatusCode, headers)
	}
}

func TestPage_GoesOnAfterAnIDOfAnySize(t *testing.T) {
	t.Parallel()
	for _, id := range []int64{1, 1<<53 + 1, math.MaxInt64} {
		after, err := httpserver.Page{Cursor: httpserver.CursorOf(id)}.After()
		require.NoError(t, err)
		require.Equal(t, id, after)
	}
	after, err := httpserver.Page{}.After()
	require.NoError(t, err)
	require.Zero(t, after)
	for _, id := range []string{"0", "-1", "+1", "01", "x", "9223372036854775808"} {
		_, err := httpserver.Page{Cursor: httpserver.EncodeCursor(id)}.After()
		require.Error(t, err, id)
	}
}

func TestIfMatch_OfARevisionIsItOrNothing(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]int{"": 0, "*": 0, `"3"`: 3, `"0"`: -1, `"x"`: -1, `"-3"`: -1, `"03"`: -1, `"99999999999"`: -1} {
		require.Equal(t, want, (&httpserver.IfMatch{IfMatch: sent}).Revision(), sent)
	}
}

// RFC 9110, section 13.1.1: the change is made if one of the tags is that of what there is, in a
// strong comparison.
func TestIfMatch_IsTagsOrRefused(t *testing.T) {
	t.Parallel()
	library, _ := library(t)
	for sent, status := range map[string]int{
		`"7"`: 204, `*`: 204, ` "7" `: 204, `"6", "7"`: 204, `"6","7",`: 204, `, "7"`: 204, `W/"7", "7"`: 204, `"6,7", "7"`: 204,
		`"8"`: 412, `W/"7"`: 412, `"8", W/"7"`: 412, `""`: 412, `"*"`: 412, `"07"`: 412, `"6,7"`: 412, `"7é"`: 412, `"8", "9", "10"`: 412,
		``: 400, ` `: 400, `,`: 400, `7`: 400, `"`: 400, `"7`: 400, `7"`: 400, `'7'`: 400, `"7" "8"`: 400, `"7"8`: 400, `w/"7"`: 400, `W/ "7"`: 400,
		`*, "7"`: 400, `"7", *`: 400, `"7", 8`: 400, `"7 8"`: 400, "\"7\x01\"": 400, "\"7\xff\"": 400, strings.Repeat(`"6",`, 7) + `"7"`: 204, strings.Repeat(`"6",`, 8) + `"7"`: 400,
	} {
		response, p := ask(t, library, http.MethodPut, "/books/1", "If-Match", sent)
		require.Equal(t, status, response.StatusCode, "%q: %v", sent, p)
		if status == http.StatusBadRequest && strings.TrimSpace(sent) != "" && sent != "\"7\xff\"" {
			require.Equal(t, "header.If-Match", p.Errors[0].Location, sent)
		}
	}
	response, _ := ask(t, library, http.MethodPut, "/books/1", "If-Match", `"8"`, "If-Match", `"7"`)
	require.Equal(t, 204, response.StatusCode, "two lines are one list")
	response, _ = ask(t, library, http.MethodGet, "/books/1", "If-None-Match", `"8"`, "If-None-Match", `W/"7"`)
	require.Equal(t, 304, response.StatusCode, "a weak comparison")
	response, _ = ask(t, library, http.MethodGet, "/books/1", "If-None-Match", `7`)
	require.Equal(t, 200, response.StatusCode)
}

func TestServer_ServesThePagesOfProblems(t *testing.T) {
	t.Parallel()
	library, _ := library(t)
	for p := range problem.Types() {
		response, _ := ask(t, library, http.MethodGet, p.URI(), "Accept", "text/html")
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Contains(t, response.Header.Get("Content-Security-Policy"), "default-src 'none'")
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Contains(t, string(body), p.Title)
		response, _ = ask(t, library, http.MethodGet, p.URI())
		require.Equal(t, "text/plain; charset=utf-8", response.Header.Get("Content-Type"))
	}
	response, _ := ask(t, library, http.MethodGet, problem.Path)
	require.Equal(t, http.StatusOK, response.StatusCode)
	response, _ = ask(t, library, http.MethodGet, problem.Path+"none")
	require.Equal(t, http.StatusNotFound, response.StatusCode)
}

func TestDocs_ShowEveryOperationAndLoadNothing(t *testing.T) {
	t.Parallel()
	library, _ := library(t)
	response, _ := ask(t, library, http.MethodGet, "/docs")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Contains(t, response.Header.Get("Content-Security-Policy"), "default-src 'none'")
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	for _, shown := range []string{"list-shelf", "/books/{id}", "text/event-stream", "If-None-Match", "default 50"} {
		require.Contains(t, string(body), shown)
	}
	for _, outside := range []string{"http:", "https:", "//", "<script", " src=", "@import", "url("} {
		require.NotContains(t, string(body), outside)
	}
}
