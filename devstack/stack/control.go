package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// RunState says how a process of the stack is.
type RunState string

// The states of a process.
const (
	Running RunState = "running"
	Frozen  RunState = "frozen"
	Stopped RunState = "stopped"
	NotOurs RunState = "not ours" // a server that the environment names
)

// Status is a process and how it is.
type Status struct {
	Process
	State RunState `json:"state"`
}

// Action is something to do to one process of a running stack.
type Action string

// The actions. Each is over when what it asks for is so: the process is gone,
// or ready.
const (
	Start  Action = "start"
	Launch Action = "launch" // start, without waiting until it is ready
	Stop   Action = "stop"   // in order: SIGTERM, and time to finish
	Kill   Action = "kill"   // SIGKILL
	Freeze Action = "freeze" // SIGSTOP
	Thaw   Action = "thaw"   // SIGCONT
)

// Act does something to one process.
func (s *Stack) Act(ctx context.Context, action Action, name string) error {
	u, err := s.unit(name)
	if err != nil {
		return err
	}
	if u.notOurs {
		return fmt.Errorf("%s is not run by this stack: the environment names another", name)
	}
	defer s.save()
	switch action {
	case Start, Launch:
		return u.start(ctx, action == Start, s.save)
	case Stop:
		return u.stop(ctx)
	case Kill:
		return u.kill()
	case Freeze, Thaw:
		return u.freeze(action == Freeze)
	default:
		return fmt.Errorf("there is no action %q", action)
	}
}

// control lets other processes act on the stack, through a socket in its
// directory that only its user can open.
type control struct {
	server *http.Server
	served chan struct{}
}

func socketFile(dir string) string { return filepath.Join(dir, "control.sock") }

// maxSocketPath is what fits into a socket's address on every system.
const maxSocketPath = 100

func serveControl(s *Stack) (*control, error) {
	path := socketFile(s.cfg.Dir)
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the state directory's path is too long for a socket in it: %s", s.cfg.Dir)
	}
	_ = os.Remove(path) // of a stack that was killed
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for commands: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for commands: %w", err), listener.Close())
	}
	c := &control{
		server: &http.Server{Handler: s.handler(), ReadHeaderTimeout: time.Second},
		served: make(chan struct{}),
	}
	go func() {
		defer close(c.served)
		_ = c.server.Serve(listener) // returns when it is closed
	}()
	return c, nil
}

func (c *control) close() error {
	err := c.server.Close()
	<-c.served
	return err
}

func (s *Stack) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /processes", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.status())
	})
	mux.HandleFunc("POST /processes/{name}/{action}", func(w http.ResponseWriter, r *http.Request) {
		action, name := Action(r.PathValue("action")), r.PathValue("name")
		if err := s.Act(r.Context(), action, name); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		s.cfg.Console.Say("%s %s: done", action, name)
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
