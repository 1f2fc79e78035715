package postgres

import (
	"context"
	"strings"
	"time"

	"waybill.example/devstack/process"
)

const (
	// startTime bounds how long a server may take to answer, which includes
	// recovery after a crash.
	startTime = 60 * time.Second
	// stopTime bounds a fast shutdown with its checkpoint.
	stopTime = 30 * time.Second
)

// Server is a private Postgres server. It is not safe for concurrent use.
type Server struct {
	cluster *Cluster
	process *process.Process
}

// Start prepares a cluster and serves it. The server is stopped by Stop, and
// dies with us.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	for attempt := 1; ; attempt++ {
		cluster, err := Prepare(ctx, cfg)
		if err != nil {
			return nil, err
		}
		s := &Server{cluster: cluster}
		err = s.Start(ctx)
		if err == nil {
			return s, nil
		}
		// Somebody else may take a free port before the server does.
		if cfg.Port != 0 || attempt == 3 || !strings.Contains(err.Error(), "could not bind") {
			return nil, err
		}
	}
}

// Start serves the cluster again after Stop or Kill, on the same port.
func (s *Server) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	p, err := process.Start(s.cluster.Command())
	if err != nil {
		return err
	}
	if err := p.AwaitReady(ctx, s.cluster.Ping); err != nil {
		p.Kill()
		return err
	}
	s.process = p
	return nil
}

// Stop shuts the server down: sessions are cut, everything committed is kept.
func (s *Server) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	return s.process.Stop(ctx)
}

// Kill ends the server with SIGKILL, as a crash would.
func (s *Server) Kill() { s.process.Kill() }

// Process returns the running server, to freeze, thaw or signal it.
func (s *Server) Process() *process.Process { return s.process }

// Cluster returns what is served.
func (s *Server) Cluster() *Cluster { return s.cluster }

// URL returns the connection URL of a database, as the superuser.
func (s *Server) URL(database string) string { return s.cluster.URL(database) }

// Remove deletes the data directory. The server must have been stopped.
func (s *Server) Remove() error { return remove(s.cluster.home) }
