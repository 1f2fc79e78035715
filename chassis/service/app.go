package service

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/lifecycle"
)

// ShutdownTimeout is how long the parts of a service have to stop, together. It is shorter than the
// 30 seconds that Kubernetes gives a process.
const ShutdownTimeout = 20 * time.Second

// App is a service whose parts are wired, ready to run: what a service's app.New returns, and what
// end-to-end tests start. It is not safe for concurrent use, except Addr.
type App struct {
	log      *slog.Logger
	parts    lifecycle.Group
	releases []func() // of OnStop
	server   *httpserver.Server
}

// NewApp returns an App without parts.
func NewApp(log *slog.Logger) *App { return &App{log: log} }

// Wire returns an App with the parts that wire adds. Where wire fails, what it passed to OnStop is
// released, the last first.
func Wire(log *slog.Logger, wire func(*App) error) (*App, error) {
	app := NewApp(log)
	if err := wire(app); err != nil {
		for _, release := range slices.Backward(app.releases) {
			release()
		}
		return nil, err
	}
	return app, nil
}

// Add appends a part: run works until its context ends, drains and returns nil. Parts stop in the
// reverse order, so a part is added after those that it relies on. A part that returns earlier
// stops the service.
func (a *App) Add(name string, run func(context.Context) error) { a.parts.Add(name, run) }

// OnStop appends something to release at the end, such as a connection pool.
func (a *App) OnStop(name string, release func()) {
	a.parts.Add(name, lifecycle.Closer(release))
	a.releases = append(a.releases, release)
}

// Serve appends the HTTP server. It is the last part, so that requests finish while everything that
// they need still runs. Run fails where a route is not in the OpenAPI document.
func (a *App) Serve(server *httpserver.Server) {
	a.server = server
	a.parts.Add("http server", func(ctx context.Context) error {
		if routes := server.Undocumented(); len(routes) > 0 {
			return fmt.Errorf("the OpenAPI document lacks %s", strings.Join(routes, ", "))
		}
		return server.Run(ctx)
	})
}

// Addr is where the service answers HTTP, host:port.
func (a *App) Addr() string { return a.server.Addr() }

// Run runs the parts until ctx ends or one of them does, then stops them in reverse order. It
// returns their errors, and names the part that does not stop within [ShutdownTimeout] and the time
// for which the server goes on serving (HTTP_DRAIN_DELAY).
func (a *App) Run(ctx context.Context) error {
	timeout := ShutdownTimeout
	if a.server != nil {
		timeout += a.server.DrainDelay()
	}
	return a.parts.Run(ctx, a.log, timeout)
}
