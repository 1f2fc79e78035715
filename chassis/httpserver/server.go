// Package httpserver is the HTTP side that every service has: chi for routing, huma for operations
// that are declared once (routes, validation, OpenAPI 3.1), RFC 9457 problem+json for every error,
// /docs and /problems/ for people, and /livez, /readyz, /metrics and /version.
//
// A new operation uses what the others do, so that clients meet one vocabulary:
//
//   - [Handle] registers it, never huma.Register: the same limits, time, strictness and documented
//     answers.
//   - An error of the domain becomes an [Answer] with a type from chassis/problem; what only the
//     handler knows is answered by [NewProblem], [Invalid] or [Unavailable].
//   - A list embeds [Page] in its input and [Paged] in its output, asks for [Page.Fetch] rows and
//     cuts the page by [Cut]; its cursor is made by [CursorOf] or [EncodeCursor].
//   - What an operator changes has a field ETag `header:"ETag"`, made by [ETag], on its GET (which
//     then answers 304 by itself); its change embeds [IfMatch], compares [IfMatch.Seen] in its
//     transaction and answers problem.Changed.
//   - A change that a client may send again embeds [Keyed].
//   - Strings that people write are of type [Text].
//
// Malformed paths, queries, headers and bodies, empty and repeated parameters, HEAD and OPTIONS are
// answered before a handler sees them.
package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"waybill.example/chassis/tracing"
)

// Config says where to listen. Each service sets its own default before it loads its settings.
type Config struct {
	Addr string `env:"HTTP_ADDR"`
	// PprofAddr is where Go's profiles are served. They tell much about a process and cost it time:
	// by default they are nowhere.
	PprofAddr string `env:"PPROF_ADDR"`
	// Hosts are the names (without ports) that requests may be meant for, besides localhost. None:
	// on a loopback address localhost only, elsewhere any.
	Hosts []string `env:"HTTP_HOSTS"`
	// MaxConnections is how many clients may be connected; more wait.
	MaxConnections int `env:"HTTP_MAX_CONNECTIONS" envDefault:"4096"`
	// MaxWaiting is how many requests may wait for something to happen (Prefer: wait, streams), of
	// a service that has such. It is less than MaxConnections: the rest is for those who do not.
	MaxWaiting int `env:"HTTP_MAX_WAITING" envDefault:"2048"`
	// DrainDelay is how long a process that was asked to stop goes on serving, not ready, so that
	// load balancers send their requests elsewhere before connections are refused.
	DrainDelay time.Duration `env:"HTTP_DRAIN_DELAY" envDefault:"0s"`

	Concurrency ConcurrencyConfig
	TLS         TLSConfig
}

// Validate implements config.Validator.
func (c Config) Validate() []error {
	var problems []error
	if c.MaxConnections < 1 {
		problems = append(problems, errors.New("HTTP_MAX_CONNECTIONS must be positive"))
	}
	if c.MaxWaiting < 0 || c.MaxWaiting >= c.MaxConnections {
		problems = append(problems, errors.New("HTTP_MAX_WAITING must be less than HTTP_MAX_CONNECTIONS, and not negative"))
	}
	if c.DrainDelay < 0 || c.DrainDelay > maxDrainDelay {
		problems = append(problems, fmt.Errorf("HTTP_DRAIN_DELAY must be between 0s and %s", maxDrainDelay))
	}
	return append(problems, c.Concurrency.Validate()...)
}

// Limits on a client that is slow or hostile. RequestTimeout is what a handler has to answer; it is
// short, because a client that waits longer than this has better things to do with a 503.
const (
	MaxBodyBytes   = 64 << 10
	RequestTimeout = 1500 * time.Millisecond
	headerTimeout  = 5 * time.Second
	bodyTimeout    = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	// answerTimeout is what a client has to take an answer; a stream gets it again with each event.
	answerTimeout = 30 * time.Second
	maxHeader     = 32 << 10
	drainTimeout  = 10 * time.Second
	maxDrainDelay = 5 * time.Minute
)

// Options are what a server is made of.
type Options struct {
	Title, Version string // of the API, for its OpenAPI document
	Log            *slog.Logger
	Metrics        *prometheus.Registry
	Checks         []Check
}

// Server serves one service's HTTP API. Register operations on API, or plain handlers on Router,
// before Run.
type Server struct {
	API    huma.API
	Router chi.Router
	// Waiting has the places for requests that wait.
	Waiting  *Waiting
	drain    *drain
	log      *slog.Logger
	listener net.Listener
	tls      *tls.Config // nil: HTTP in the clear
	hosts    []string
	profiler *profiler // nil: not asked for
	own      []string  // routes of every server: method and pattern
}

// New listens on the configured address, so that a port in use is found at once, and returns a
// server that Run will serve.
func New(c Config, o Options) (*Server, error) {
	encryption, err := c.TLS.Server(o.Log)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for HTTP on %s (set HTTP_ADDR for another address): %w", c.Addr, err)
	}
	router := chi.NewRouter()
	if tracing.Enabled() {
		router.Use(tracing.Middleware)
	}
	router.Use(measured(o.Metrics), recovered(o.Log), middleware.GetHead)
	router.NotFound(notFound)
	router.MethodNotAllowed(notAllowed(router))
	router.Get("/livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	router.Get("/version", built)
	drain := &drain{delay: c.DrainDelay}
	router.Get("/readyz", drain.ready(readyz(o.Checks)))
	router.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{EnableOpenMetrics: true}))

	registerPages(router)

	config := huma.DefaultConfig(o.Title, o.Version)
	config.DocsPath = ""                                                                   // its page loads scripts from elsewhere; ours is registerDocs
	config.CreateHooks = nil                                                               // no $schema in bodies: clients get the fields that are documented
	config.SchemasPath = ""                                                                // they are in the document
	config.Formats = map[string]huma.Format{mediaTypeJSON: strictJSON, "json": strictJSON} // and …+json
	config.Transformers = append(config.Transformers, completed)
	config.NoFormatFallback = false // errors are JSON for those, too, who accept none
	api := humachi.New(router, config)
	registerDocs(router, api)
	api.UseMiddleware(remembered)
	if c.Concurrency.MaxRequests > 0 {
		api.UseMiddleware(newConcurrency(c.Concurrency).bound(api))
	}
	api.UseMiddleware(acceptable(api), wellFormed(api), requireJSON(api))
	if c.MaxConnections > 0 {
		listener = limit(listener, c.MaxConnections)
	}
	s := &Server{API: api, Router: router, Waiting: NewWaiting(c.MaxWaiting), drain: drain, log: o.Log, listener: listener, tls: encryption, hosts: c.Hosts}
	s.own = s.Undocumented()
	if c.PprofAddr != "" {
		if s.profiler, err = newProfiler(c.PprofAddr, c.Hosts, o.Log); err != nil {
			listener.Close()
			return nil, err
		}
	}
	return s, nil
}

// Addr is the address that the server listens on, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// DrainDelay is how long Run goes on serving after its context has ended, before it stops.
func (s *Server) DrainDelay() time.Duration { return s.drain.delay }

// Local says whether only this machine can reach the server.
func (s *Server) Local() bool {
	tcp, ok := s.listener.Addr().(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// Pages serves what has no route of its own, except below /v1/, where there is the API alone: the
// console.
func (s *Server) Pages(pages http.Handler) {
	s.Router.NotFound(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			notFound(w, r)
			return
		}
		if route := chi.RouteContext(r.Context()); route != nil {
			route.RoutePatterns = append(route.RoutePatterns, "pages")
		}
		pages.ServeHTTP(w, r)
	})
}

// Undocumented are the routes that the OpenAPI document lacks, besides those that every server has.
func (s *Server) Undocumented() (routes []string) {
	document := s.API.OpenAPI()
	_ = chi.Walk(s.Router, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		documented := operationOf(document.Paths[route], method) != nil
		if name := method + " " + route; !documented && !slices.Contains(s.own, name) {
			routes = append(routes, name)
		}
		return nil
	})
	return routes
}

func operationOf(path *huma.PathItem, method string) *huma.Operation {
	if path == nil {
		return nil
	}
	return map[string]*huma.Operation{
		http.MethodGet: path.Get, http.MethodPost: path.Post, http.MethodPut: path.Put, http.MethodPatch: path.Patch, http.MethodDelete: path.Delete,
	}[method]
}

// Run serves until ctx ends, then lets requests that are under way finish.
func (s *Server) Run(ctx context.Context) error {
	if s.profiler == nil {
		return s.serve(ctx)
	}
	together, ctx := errgroup.WithContext(ctx)
	together.Go(func() error { return s.serve(ctx) })
	together.Go(func() error { return s.profiler.run(ctx) })
	return together.Wait()
}

// accept serves the listener, by HTTP/1.1 alone: its limits are what the tests hold, and a client
// of an API or a console of a few pages gains nothing by HTTP/2.
func (s *Server) accept(server *http.Server) error {
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	if s.tls == nil {
		return server.Serve(s.listener)
	}
	server.TLSConfig = s.tls
	return server.ServeTLS(s.listener, "", "")
}

func (s *Server) serve(ctx context.Context) error {
	server := &http.Server{
		Handler:           s.drain.closing(KnownHosts(s.listener.Addr(), s.hosts, sameOrigin(hardened(s.Router)))),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      answerTimeout,
		MaxHeaderBytes:    maxHeader,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- s.accept(server) }()
	s.log.InfoContext(ctx, "serving HTTP", "addr", s.Addr(), "tls", s.tls != nil)
	select {
	case err := <-served:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	s.drain.begin(s.log)
	s.Waiting.Stop()
	// Detached: ctx has ended, and the requests under way get their time all the same.
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := server.Shutdown(finish)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // a stream that does not end by itself
	}
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	if err != nil {
		return fmt.Errorf("stop HTTP: %w", err)
	}
	return nil
}
