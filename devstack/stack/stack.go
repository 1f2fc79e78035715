package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
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
	// KafkaNodes are how many nodes of an Apache Kafka run in place of the
	// embedded broker; 0 keeps that. They need Java and Maven.
	KafkaNodes int
	// Partitions are how many each topic is created with; 0 is the default.
	Partitions int32
	// Standby adds a Postgres that follows the other and can be promoted. The services' URLs have
	// both hosts.
	Standby Replication
	// Shards are how many shards the services are divided into by order id; 0 for services that
	// have all orders. See [Stack.AddShard].
	Shards int
	// Env adds settings to a process' environment, as NAME=value, by its name.
	Env map[string][]string
	// Front, if set, returns the address at which the services reach a server,
	// Postgres or one of the brokers, that listens on addr: a proxy's, to put faults between.
	Front func(server, addr string) (string, error)
	// Console shows the stack's steps.
	Console *Console
	// ShowLogs shows what the processes write on the console too.
	ShowLogs bool
}

// Stack is a running stack. Its methods may be called from any goroutine.
type Stack struct {
	cfg     Config
	lock    *os.File
	control *control
	token   string    // for changes over HTTP
	using   io.Closer // keeps other stacks off the databases
	saving  sync.Mutex

	// What a shard is added to, by one goroutine at a time.
	bin     string
	base    *plan    // nil: the stack has no shards
	shards  int      // that there are
	sources []string // of the relay

	mu        sync.Mutex // guards what follows
	stages    [][]*unit  // each needs those before it
	databases map[string]string
}

// Up starts a stack and returns when everything is ready. When something does
// not get ready all is stopped again, and the error says what and why.
func Up(ctx context.Context, cfg Config) (_ *Stack, err error) {
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("locate the state directory: %w", err)
	}
	if err := checkDir(cfg.Dir); err != nil {
		return nil, err
	}
	s := &Stack{cfg: cfg}
	if err := s.up(ctx); err != nil {
		return nil, errors.Join(Interrupted(ctx, err), s.Down(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// Interrupted returns, where ctx was cancelled, an error that says no more than that: what was
// under way fails in many ways then, of which none is what happened. Any other err it returns as it
// is.
func Interrupted(ctx context.Context, err error) error {
	if err == nil || !errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	return fmt.Errorf("it was interrupted before it was done: %w", context.Cause(ctx))
}

func (s *Stack) up(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(s.cfg.Dir, "logs"), 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	var err error
	if s.lock, err = lockDir(s.cfg.Dir); err != nil {
		return err
	}
	if s.bin, err = Build(ctx, s.cfg.Workspace, s.cfg.Console); err != nil {
		return err
	}
	endLeftovers(s.cfg.Dir, s.cfg.Console)
	if s.cfg.Fresh {
		if err := wipe(s.cfg.Dir); err != nil {
			return err
		}
	}
	plan, err := s.plan(ctx, s.bin)
	if err != nil {
		return err
	}
	s.databases, s.token = plan.databases, plan.token
	s.stages = [][]*unit{plan.servers, plan.standbys(), plan.services}
	if s.control, err = serveControl(s); err != nil {
		return err
	}
	if err := s.startStage(ctx, plan.servers); err != nil {
		return err
	}
	if err := s.startStandby(ctx, plan); err != nil {
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
	if err := s.beginShards(ctx, plan); err != nil {
		return err
	}
	if err := s.startStage(ctx, plan.services); err != nil {
		return err
	}
	if err := seedStock(ctx, plan.inventoryAddr, s.State().TokenFor(Inventory)); err != nil {
		return err
	}
	for s.shards < s.cfg.Shards {
		if err := s.AddShard(ctx); err != nil {
			return err
		}
	}
	return nil
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
	state := State{Databases: s.databaseURLs(), Token: s.token}
	for _, status := range s.status() {
		state.Processes = append(state.Processes, status.Process)
	}
	return state
}

func (s *Stack) databaseURLs() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.databases)
}

// units are the units of the stack, in the order in which they are started.
func (s *Stack) units() []*unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Concat(s.stages...)
}

func (s *Stack) status() []Status {
	var all []Status
	for _, u := range s.units() {
		all = append(all, u.status())
	}
	return all
}

// named returns the unit of a name, or the several that it stands for.
func (s *Stack) named(name string) (found []*unit, err error) {
	var names []string
	for _, u := range s.units() {
		if u.name == name {
			return []*unit{u}, nil
		}
		if isOf(name, u.name) {
			found = append(found, u)
		}
		names = append(names, u.name)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("the stack has no process %q: there are %q", name, names)
	}
	return found, nil
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
				err := u.last(ctx)
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
