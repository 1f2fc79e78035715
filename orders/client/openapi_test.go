package client_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/httpserver"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orders/client"
	"waybill.example/orders/internal/app"
	"waybill.example/orders/internal/httpapi"
	"waybill.example/orders/internal/postgres"
	"waybill.example/orders/internal/watch"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// service is the API on a database of the test's own.
type service struct {
	*pgtest.Database
	url string
	hub *watch.Hub
}

func startService(t *testing.T) service {
	t.Helper()
	db := pgtest.New(t, migrations.Outbox, migrations.Orders)
	log := slog.New(slog.DiscardHandler)
	server, err := httpserver.New(httpserver.Config{Addr: "127.0.0.1:0", MaxWaiting: 10}, httpserver.Options{
		Title: "Orders", Version: "1", Log: log, Metrics: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	store := postgres.NewStore(db.Pool)
	hub := watch.New(store, log)
	httpapi.Register(server.API, httpapi.Service{Store: store, Place: app.NewPlacer(store), Hub: hub, Waiting: server.Waiting, Log: log})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var parts sync.WaitGroup
	parts.Go(func() { _ = hub.Run(ctx) })
	parts.Go(func() { _ = server.Run(ctx) })
	t.Cleanup(func() { cancel(); parts.Wait() })
	return service{db, "http://" + server.Addr(), hub}
}

// confirm confirms an order once its status may be waited for.
func (s service) confirm(t *testing.T, id int64) {
	_, err := s.Pool.Exec(t.Context(), "update orders set status = 'CONFIRMED' where id = $1", id)
	if err != nil {
		t.Error(err)
	}
	s.hub.Changed(id)
}

// recorder keeps what was asked and answered.
type recorder struct {
	mu    sync.Mutex
	calls []*http.Response
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.calls = append(r.calls, response)
	}
	return response, err
}

// document is an OpenAPI document, as far as the test looks.
type document struct {
	Paths      map[string]map[string]operation
	Components struct {
		Schemas map[string]schema
	}
}

type operation struct {
	OperationID string
	Parameters  []struct{ Name, In string }
	Responses   map[string]any
}

type schema struct {
	Type       any
	Format     string
	Properties map[string]schema
	Required   []string
	Items      *schema
	Ref        string `json:"$ref"`
}

// The client asks for what the document describes, by the names that stand there, and uses every
// operation.
func TestClient_AsksForWhatTheDocumentDescribes(t *testing.T) {
	t.Parallel()
	s := startService(t)
	calls := &recorder{}
	c, err := client.New(s.url, client.WithHTTPClient(&http.Client{Transport: calls}))
	require.NoError(t, err)
	useEverything(t, s, c)

	var d document
	get(t, s.url+"/openapi.json", &d)
	used := map[string]bool{}
	for _, call := range calls.calls {
		route := regexp.MustCompile(`/\d+`).ReplaceAllString(call.Request.URL.Path, "/{id}")
		op, described := d.Paths[route][strings.ToLower(call.Request.Method)]
		require.True(t, described, "%s %s", call.Request.Method, route)
		used[op.OperationID] = true
		var parameters []string
		for _, p := range op.Parameters {
			parameters = append(parameters, p.In+" "+http.CanonicalHeaderKey(p.Name))
		}
		for name := range call.Request.Header {
			if name != "Content-Type" && name != "Accept" {
				require.Contains(t, parameters, "header "+name, op.OperationID)
			}
		}
		for name := range call.Request.URL.Query() {
			require.Contains(t, parameters, "query "+http.CanonicalHeaderKey(name), op.OperationID)
		}
		require.Contains(t, slices.Collect(maps.Keys(op.Responses)), call.Status[:3], op.OperationID)
	}
	for _, methods := range d.Paths {
		for _, op := range methods {
			if op.OperationID != "" {
				require.True(t, used[op.OperationID], "no call for %s", op.OperationID)
			}
		}
	}
}

// useEverything makes every call, and every kind of parameter.
func useEverything(t *testing.T, s service, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	id, err := c.Place(ctx, draft)
	require.NoError(t, err)
	var seen []client.Status
	for o, err := range c.Watch(ctx, id) {
		require.NoError(t, err)
		if seen = append(seen, o.Status); o.Status == client.Pending {
			go s.confirm(t, id)
		}
	}
	require.Equal(t, []client.Status{client.Pending, client.Confirmed}, seen)
	waited, err := c.Wait(ctx, id)
	require.NoError(t, err)
	got, err := c.Get(ctx, id)
	require.NoError(t, err)
	require.Equal(t, waited, got)
	require.Equal(t, "u1 burger 2", got.UserID+" "+got.SKU+" "+string('0'+got.Quantity))

	short, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	pending, err := c.PlaceAndWait(short, draft)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, client.Pending, pending.Status)
	cancelling, err := c.Cancel(ctx, pending.ID, "changed my mind")
	require.NoError(t, err)
	require.Equal(t, client.Pending, cancelling.Status)
	var ids []int64
	for o, err := range c.List(ctx, client.Filter{UserID: "u1", PageSize: 1}) {
		require.NoError(t, err)
		ids = append(ids, o.ID)
	}
	require.Equal(t, []int64{pending.ID, id}, ids)
	for o, err := range c.List(ctx, client.Filter{Status: client.Confirmed}) {
		require.NoError(t, err)
		require.Equal(t, got, o)
	}
	var p *client.Problem
	_, err = c.Get(ctx, 1<<60)
	require.ErrorAs(t, err, &p)
	require.Equal(t, http.StatusNotFound, p.Status)
}

// The client's types and the document's schemas are the same: a schema for each type and a type for
// each schema, with the same fields, of the same types, and the same ones of them always there.
func TestClient_HasTheFieldsOfTheDocumentAndNoOthers(t *testing.T) {
	t.Parallel()
	s := startService(t)
	var d document
	get(t, s.url+"/openapi.json", &d)
	types := map[string]any{
		"Accepted": client.Accepted{}, "Cancellation": client.Cancellation{}, "Draft": client.Draft{}, "Item": client.Item{},
		"Order": client.Order{}, "Page": client.Page{}, "Problem": client.Problem{}, "ErrorDetail": client.Invalid{},
	}
	ours, theirs := map[string][]string{}, map[string][]string{}
	for name, v := range types {
		for field := range reflect.TypeOf(v).Fields() {
			tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			if tag != "-" {
				ours[name] = append(ours[name], describe(tag, typeOf(field.Type), !strings.HasPrefix(options, "omit")))
			}
		}
		slices.Sort(ours[name])
	}
	for name, s := range d.Components.Schemas {
		for tag, property := range s.Properties {
			theirs[name] = append(theirs[name], describe(tag, property.name(), slices.Contains(s.Required, tag)))
		}
		slices.Sort(theirs[name])
	}
	require.Equal(t, theirs, ours)
}

func describe(field, kind string, required bool) string {
	if required {
		kind += ", always"
	}
	return field + ": " + kind
}

// typeOf is a Go type in the words of the document.
func typeOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "string date-time"
	case t.Kind() == reflect.Int64, t.Kind() == reflect.Int:
		return "integer int64"
	case t.Kind() == reflect.Int32:
		return "integer int32"
	case t.Kind() == reflect.Slice && t.Elem() == reflect.TypeFor[client.Invalid]():
		return "array of ErrorDetail"
	case t.Kind() == reflect.Slice:
		return "array of " + t.Elem().Name()
	case t.Kind() == reflect.Interface:
		return "any"
	}
	return t.Kind().String()
}

func (s schema) name() string {
	switch kind := s.Type.(type) {
	case string:
		if kind == "array" {
			return "array of " + path.Base(s.Items.Ref)
		}
		if s.Format == "uri" || s.Format == "uri-reference" {
			return kind
		}
		return strings.TrimSpace(kind + " " + s.Format)
	case []any:
		s.Type = kind[0]
		return s.name()
	}
	return "any"
}

func get(t *testing.T, url string, into any) {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	require.NoError(t, json.NewDecoder(response.Body).Decode(into))
}
