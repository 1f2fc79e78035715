package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"waybill.example/devstack/process"
)

// Config says what stack to run.
type Config struct {
	// Workspace is Waybill's source tree; see [Workspace].
	Workspace string
	// Dir keeps the stack's state, data and logs. Two stacks need two.
	Dir string
	// EphemeralPorts gives every process a free port, so that several stacks
	// can run side by side.
	EphemeralPorts bool
	// Fresh removes the data and logs of the last run first.
	Fresh bool
	// RealKafka runs an Apache Kafka in place of the embedded broker. It needs
	// Java and Maven.
	RealKafka bool
	// Env adds settings to a process' environment, as NAME=value, by its name.
	Env map[string][]string
	// Front, if set, returns the address at which the services reach a server,
	// Postgres or Broker, that listens on addr: a proxy's, to put faults between.
	Front func(server, addr string) (string, error)
	// Console shows the stack's steps.
	Console *Console
	// ShowLogs shows what the processes write on the console too.
	ShowLogs bool
}

// Stack is a running stack. Its methods may be called from any goroutine.
type Stack struct {
	cfg       Config
	lock      *os.File
	control   *control
	stages    [][]*unit // each needs those before it
	databases map[string]string
	token     string    // for changes over HTTP
	using     io.Closer // keeps other stacks off the databases
	saving    sync.Mutex
}

// Up starts a stack and returns when everything is ready. When something does
// not get ready all is stopped again, and the error says what and why.
func Up(ctx context.Context, cfg Config) (_ *Stack, err error) {
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("locate the state directory: %w", err)
	}
	s := &Stack{cfg: cfg}
	if err := s.up(ctx); err != nil {
		return nil, errors.Join(err, s.Down(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func (s *Stack) up(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(s.cfg.Dir, "logs"), 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	var err error
	if s.lock, err = lockDir(s.cfg.Dir); err != nil {
		return err
	}
	bin, err := Build(ctx, s.cfg.Workspace, s.cfg.Console)
	if err != nil {
		return err
	}
	endLeftovers(s.cfg.Dir, s.cfg.Console)
	if s.cfg.Fresh {
		if err := wipe(s.cfg.Dir); err != nil {
			return err
		}
	}
	plan, err := s.plan(ctx, bin)
	if err != nil {
		return err
	}
	s.databases, s.token = plan.databases, plan.token
	s.stages = [][]*unit{plan.servers, plan.services}
	if s.control, err = serveControl(s); err != nil {
		return err
	}
	if err := s.startStage(ctx, plan.servers); err != nil {
		return err
	}
	if plan.external {
		if s.using, err = plan.lockDatabases(ctx); err != nil {
			return err
		}
	}
	if err := plan.prepareServers(ctx, s.cfg.Console); err != nil {
		return err
	}
	if err := s.startStage(ctx, plan.services); err != nil {
		return err
	}
	return seedStock(ctx, plan.inventoryAddr, s.State().TokenFor(Inventory))
}

// startStage starts some units at once and waits until all are ready. The first
// that fails ends the wait for the others.
func (s *Stack) startStage(ctx context.Context, units []*unit) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, u := range units {
		u.onEnd = s.ended
		if u.notOurs {
			continue
		}
		if err := u.openLog(s.logConsole()); err != nil {
			return err
		}
		group.Go(func() error {
			s.cfg.Console.Say("starting %s on %s", u.name, u.addr)
			return u.start(ctx, true, s.save)
		})
	}
	return group.Wait()
}

func (s *Stack) logConsole() *Console {
	if s.cfg.ShowLogs {
		return s.cfg.Console
	}
	return nil
}

// ended says that a process ended by itself. It is not started again: a user
// who killed it wants to see what happens, and one who did not must know.
func (s *Stack) ended(u *unit, p *process.Process) {
	how := "exit status 0"
	if err := p.Err(); err != nil {
		how = err.Error()
	}
	s.cfg.Console.Say("%s (process %d) ended by itself: %s; its log is %s; `devstack start %s` starts it again",
		u.name, p.Pid(), how, u.logPath, u.name)
	s.save()
}

// save replaces stack.json.
func (s *Stack) save() {
	s.saving.Lock()
	defer s.saving.Unlock()
	if err := s.State().write(s.cfg.Dir); err != nil {
		s.cfg.Console.Say("%v", err)
	}
}

// State tells what runs.
func (s *Stack) State() State {
	state := State{Databases: s.databases, Token: s.token}
	for _, status := range s.status() {
		state.Processes = append(state.Processes, status.Process)
	}
	return state
}

func (s *Stack) status() []Status {
	var all []Status
	for _, stage := range s.stages {
		for _, u := range stage {
			all = append(all, u.status())
		}
	}
	return all
}

func (s *Stack) unit(name string) (*unit, error) {
	var names []string
	for _, stage := range s.stages {
		for _, u := range stage {
			if u.name == name {
				return u, nil
			}
			names = append(names, u.name)
		}
	}
	return nil, fmt.Errorf("the stack has no process %q: there are %q", name, names)
}

// Down stops everything, the services before the servers that they use, and
// returns when no process is left. When ctx ends it becomes hasty and kills.
func (s *Stack) Down(ctx context.Context) error {
	var errs []error
	if s.control != nil {
		errs = append(errs, s.control.close())
	}
	for _, stage := range slices.Backward(s.stages) {
		var group errgroup.Group
		for _, u := range stage {
			group.Go(func() error {
				err := u.stop(ctx)
				if errors.Is(err, errNotRunning) {
					err = nil
				}
				return errors.Join(err, u.close())
			})
		}
		errs = append(errs, group.Wait())
	}
	if s.using != nil {
		_ = s.using.Close() // a server that is gone has let go by itself
	}
	if s.lock != nil {
		if len(s.stages) > 0 {
			s.save()
		}
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
