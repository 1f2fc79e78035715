package httpserver_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/httpserver"
)

type parcel struct {
	Body struct {
		Name   string `json:"name" maxLength:"10"`
		Weight int32  `json:"weight" minimum:"1"`
	}
}

// receive answers 204 to a valid parcel, without listening to a network.
func receive(t *testing.T) http.Handler {
	t.Helper()
	s, err := httpserver.New(httpserver.Config{Addr: "127.0.0.1:0"}, httpserver.Options{
		Title: "Test", Version: "1", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	huma.Post(s.API, "/parcels", func(context.Context, *parcel) (*struct{}, error) { return nil, nil })
	huma.Post(s.API, "/broken", func(context.Context, *struct{}) (*struct{}, error) {
		return nil, errors.New("select secret from vault")
	})
	return s.Router
}

func post(handler http.Handler, path, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func TestStrictJSON_ReadsABodyInOneWayOnly(t *testing.T) {
	t.Parallel()
	handler := receive(t)
	const good = `{"name":"n","weight":1}`
	tests := map[string]struct {
		contentType, body string
		status            int
		says              string
	}{
		"valid":                   {"application/json", good, 204, ""},
		"with a charset":          {"application/json; charset=utf-8", good, 204, ""},
		"says nothing":            {"", good, 415, "application/json"},
		"a form":                  {"application/x-www-form-urlencoded", good, 415, "application/json"},
		"text":                    {"text/plain", good, 415, "application/json"},
		"no media type":           {"json;;", good, 415, "application/json"},
		"empty":                   {"application/json", "", 400, "body is required"},
		"not JSON":                {"application/json", `{"name"`, 400, "unexpected end of JSON"},
		"more after it":           {"application/json", good + "x", 400, "after top-level value"},
		"half of a character":     {"application/json", `{"name":"\ud800","weight":1}`, 400, "lone surrogate"},
		"the other half":          {"application/json", `{"name":"\udfff","weight":1}`, 400, "lone surrogate"},
		"half and something else": {"application/json", `{"name":"\ud83d\u0041","weight":1}`, 400, "lone surrogate"},
		"a whole character":       {"application/json", `{"name":"\ud83d\ude00","weight":1}`, 204, ""},
		"an escaped NUL":          {"application/json", `{"name":"a\u0000b","weight":1}`, 400, "NUL"},
		"no escape of NUL":        {"application/json", `{"name":"\\u0000","weight":1}`, 204, ""},
		"no escape at all":        {"application/json", `{"name":"\\ud800","weight":1}`, 204, ""},
		"not UTF-8":               {"application/json", "{\"name\":\"\xff\",\"weight\":1}", 400, "not UTF-8"},
		"a field twice":           {"application/json", `{"name":"n","weight":1,"name":"m"}`, 400, `duplicate field \"name\"`},
		"a field twice, deeper":   {"application/json", `{"name":[{"a":1,"a":2}],"weight":1}`, 400, `duplicate field \"a\"`},
		"a name as a value":       {"application/json", `{"name":"name","weight":1}`, 204, ""},
		"one name at two levels":  {"application/json", `{"name":{"name":"n"},"weight":1}`, 422, "body.name"},
		"a field in another case": {"application/json", `{"Name":"n","weight":1}`, 422, "body.Name"},
		"a fraction of nothing":   {"application/json", `{"name":"n","weight":1.0}`, 422, "weight: expected a whole number"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := post(handler, "/parcels", tt.contentType, tt.body)
			require.Equal(t, tt.status, w.Code, w.Body)
			require.Contains(t, w.Body.String(), tt.says)
		})
	}
}

func TestRequireJSON_RefusesWhatIsCompressed(t *testing.T) {
	t.Parallel()
	handler := receive(t)
	for coding, status := range map[string]int{"": 204, "identity": 204, "gzip": 415, "br, gzip": 415} {
		r := httptest.NewRequest(http.MethodPost, "/parcels", strings.NewReader(`{"name":"n","weight":1}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Content-Encoding", coding)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		require.Equal(t, status, w.Code, "%q: %s", coding, w.Body)
	}
}

func TestProblem_DoesNotQuoteTheRequest(t *testing.T) {
	t.Parallel()
	handler := receive(t)
	long := strings.Repeat("long", 10_000)
	for name, body := range map[string]string{
		"not JSON":             long,
		"a field missing":      `{"name":"` + long + `"}`,
		"a field too long":     `{"name":"` + long + `","weight":1}`,
		"an unknown field":     `{"name":"n","weight":1,"` + long + `":1}`,
		"a long field name":    `{"` + long + `":1,"` + long + `":1}`,
		"an array for a field": `{"name":["` + long + `"],"weight":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := post(handler, "/parcels", "application/json", body)
			require.GreaterOrEqual(t, w.Code, 400)
			require.Less(t, w.Code, 500)
			require.Less(t, w.Body.Len(), 2000, "%.300s", w.Body)
		})
	}
	require.Less(t, post(handler, "/parcels", long, "{}").Body.Len(), 500)

	var many strings.Builder
	for i := range 5_000 {
		fmt.Fprintf(&many, `"unknown%d":1,`, i)
	}
	w := post(handler, "/parcels", "application/json", "{"+many.String()+`"name":"n"}`)
	require.Equal(t, http.StatusUnprocessableEntity, w.Code)
	require.Equal(t, 100, strings.Count(w.Body.String(), `"location"`))
}

func TestProblem_DoesNotShowAnUnexpectedError(t *testing.T) {
	t.Parallel()
	w := post(receive(t), "/broken", "", "")
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.NotContains(t, w.Body.String(), "secret")
}
