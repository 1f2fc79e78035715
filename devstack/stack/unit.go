package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"waybill.example/devstack/process"
)

const (
	// readyTime bounds how long a process may take to get ready, which for
	// Postgres includes recovery, and for Apache Kafka a JVM on a busy machine.
	readyTime = 2 * time.Minute
	// stopTime bounds an ordered stop, after which comes SIGKILL.
	stopTime = 20 * time.Second
)

// unit is one process of the stack: how to run it, and what runs of it now.
type unit struct {
	name     string
	addr     string
	grpcAddr string          // "": it serves no gRPC
	command  process.Command // its Name and Output are the unit's
	ready    func(context.Context) error
	// inCluster marks one of several servers that do nothing without each other,
	// not even end.
	inCluster bool
	promote   func(context.Context) error // of the standby only
	// notOurs marks a server that the environment names: nothing to run.
	notOurs bool
	logPath string
	log     *os.File
	onEnd   func(*unit, *process.Process) // a process ended that nobody had asked to

	acting sync.Mutex // held while something is done to the unit

	mu       sync.Mutex // guards what follows
	running  *process.Process
	frozen   bool
	watchers sync.WaitGroup
}

// openLog empties the unit's log file, and shows what is written on the
// console too unless that is nil.
func (u *unit) openLog(console *Console) error {
	var err error
	if u.log, err = os.OpenFile(u.logPath, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return fmt.Errorf("open the log of %s: %w", u.name, err)
	}
	u.command.Name = u.name
	u.command.Output = u.log
	if console != nil {
		u.command.Output = io.MultiWriter(u.log, console.writer(u.name))
	}
	return nil
}

// start runs the process, reports it to started, and waits until it is ready.
// A process that does not become ready is left as it is.
func (u *unit) start(ctx context.Context, wait bool, started func()) error {
	u.acting.Lock()
	defer u.acting.Unlock()
	if p := u.process(); p != nil {
		return fmt.Errorf("%s runs already, as process %d", u.name, p.Pid())
	}
	p, err := process.Start(u.command)
	if err != nil {
		return err
	}
	u.setProcess(p)
	u.watchers.Go(func() {
		<-p.Done()
		if u.forget(p) {
			u.onEnd(u, p)
		}
	})
	started()
	if !wait {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, fmt.Errorf("waited %s", readyTime))
	defer cancel()
	return p.AwaitReady(ctx, u.ready)
}

// stop ends the process in order; kill does so with SIGKILL. Both wait.
func (u *unit) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stopTime, fmt.Errorf("waited %s", stopTime))
	defer cancel()
	return u.end(func(p *process.Process) error { return p.Stop(ctx) })
}

// last ends the process with all others of the stack.
func (u *unit) last(ctx context.Context) error {
	if u.inCluster {
		return u.kill()
	}
	return u.stop(ctx)
}

func (u *unit) kill() error {
	return u.end(func(p *process.Process) error { p.Kill(); return nil })
}

func (u *unit) end(how func(*process.Process) error) error {
	u.acting.Lock()
	defer u.acting.Unlock()
	p := u.process()
	if p == nil {
		return u.notRunning()
	}
	u.forget(p) // its end is asked for, so the watcher has nothing to report
	return how(p)
}

// act does something to the process. A change of what runs is reported to started.
func (u *unit) act(ctx context.Context, action Action, started func()) error {
	if u.notOurs {
		return fmt.Errorf("%s is not run by this stack: the environment names another", u.name)
	}
	switch action {
	case Start, Launch:
		return u.start(ctx, action == Start, started)
	case Stop:
		return u.stop(ctx)
	case Kill:
		return u.kill()
	case Freeze, Thaw:
		return u.freeze(action == Freeze)
	case Promote:
		if u.promote == nil {
			return fmt.Errorf("%s is no standby", u.name)
		}
		return u.promote(ctx)
	default:
		return fmt.Errorf("there is no action %q", action)
	}
}

func (u *unit) freeze(frozen bool) error {
	u.acting.Lock()
	defer u.acting.Unlock()
	p := u.process()
	if p == nil {
		return u.notRunning()
	}
	u.mu.Lock()
	u.frozen = frozen
	u.mu.Unlock()
	if frozen {
		p.Freeze()
	} else {
		p.Thaw()
	}
	return nil
}

var errNotRunning = errors.New("does not run")

func (u *unit) notRunning() error { return fmt.Errorf("%s %w", u.name, errNotRunning) }

// close waits until every process that the unit has run is gone.
func (u *unit) close() error {
	u.watchers.Wait()
	if u.log == nil {
		return nil
	}
	return u.log.Close()
}

func (u *unit) process() *process.Process {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.running
}

func (u *unit) setProcess(p *process.Process) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.running, u.frozen = p, false
}

// forget reports whether p was what runs, which it is no more.
func (u *unit) forget(p *process.Process) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.running != p {
		return false
	}
	u.running, u.frozen = nil, false
	return true
}

func (u *unit) status() Status {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := Status{Process: Process{Name: u.name, Addr: u.addr, GRPC: u.grpcAddr, Log: u.logPath}, State: Stopped}
	switch {
	case u.notOurs:
		s.State = NotOurs
	case u.frozen:
		s.State = Frozen
	case u.running != nil:
		s.State = Running
	}
	if u.running != nil {
		s.Pid = u.running.Pid()
	}
	return s
}
