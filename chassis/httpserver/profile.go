package httpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
)

// profiler serves Go's profiles (net/http/pprof) on an address of its own, so that they are never
// where the API is. Nothing of it exists unless it is asked for.
type profiler struct {
	server   *http.Server
	listener net.Listener
}

func newProfiler(addr string, hosts []string, log *slog.Logger) (*profiler, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for profiles on %s (PPROF_ADDR): %w", addr, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	log.Info("serving profiles", "addr", listener.Addr().String())
	return &profiler{
		server: &http.Server{
			Handler: KnownHosts(listener.Addr(), hosts, mux), ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: maxHeader,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
		listener: listener,
	}, nil
}

// run serves until ctx ends. A profile that is being taken then is cut short.
func (p *profiler) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = p.server.Close() })
	defer stop()
	if err := p.server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve profiles: %w", err)
	}
	return nil
}
