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

	"golang.org/x/sync/errgroup"
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

// Action is something to do to a process of a running stack.
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
	// Promote makes a primary of the standby.
	Promote Action = "promote"
)

// Act does something to one process, or to all that a name stands for at once: "broker" for
// broker-1, broker-2 and so on.
func (s *Stack) Act(ctx context.Context, action Action, name string) error {
	units, err := s.named(name)
	if err != nil {
		return err
	}
	defer s.save()
	var acting errgroup.Group // which stops none for another's error
	for _, u := range units {
		acting.Go(func() error { return u.act(ctx, action, s.save) })
	}
	return acting.Wait()
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

// checkDir refuses a state directory before anything is built or made for it.
func checkDir(dir string) error {
	if over := len(socketFile(dir)) - maxSocketPath; over > 0 {
		return fmt.Errorf("the path of the state directory is %d bytes too long for a socket in it: %s (choose another with --dir, or with TMPDIR for a temporary one)", over, dir)
	}
	return nil
}

func serveControl(s *Stack) (*control, error) {
	path := socketFile(s.cfg.Dir)
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
