package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kgo"

	"waybill.example/devstack/loopback"
	"waybill.example/devstack/postgres"
	"waybill.example/devstack/process"
	"waybill.example/devstack/stack"
	"waybill.example/drills/audit"
)

// Environment is a running stack that a drill may break. Its methods may be called from any
// goroutine.
type Environment struct {
	// Random is seeded by the options of the run, so that a drill can be repeated. It is for the
	// drill's own goroutine.
	Random *rand.Rand

	workspace, dir string
	stack          system
	pools          map[string]*pgxpool.Pool
	proxies        map[string]*proxy
	urls           []string // where the load goes
	run            string   // the name of the run
	balancer       *balancer
	webhook        *webhook // nil: nobody is notified

	mu       sync.Mutex
	faults   []Fault
	measured []string
	failures []string
	extra    []*Instance
	closers  []io.Closer
	audit    audit.Config // what the drill's own doings make expected

	// Nil until the drill makes a backup.
	cluster *postgres.Cluster
	backup  *postgres.Backup
}

// Fault marks the time until the returned function is called as one in which something is broken.
func (s *Environment) Fault(label string) (end func()) { return s.fault(label, false) }

// Outage is a fault during which POSTs may fail: what they need is down.
func (s *Environment) Outage(label string) (end func()) { return s.fault(label, true) }

func (s *Environment) fault(label string, excuses bool) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := len(s.faults)
	s.faults = append(s.faults, Fault{Label: label, From: time.Now(), Excuses: excuses})
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults[i].To = time.Now()
	}
}

// Faults returns what has been broken so far.
func (s *Environment) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.faults)
}

// Measured notes something that the drill has measured.
func (s *Environment) Measured(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.measured = append(s.measured, fmt.Sprintf(format, args...))
}

// Failed notes a promise of the drill's own that was not kept.
func (s *Environment) Failed(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, fmt.Sprintf(format, args...))
}

// Act does something to a process of the stack.
func (s *Environment) Act(ctx context.Context, action stack.Action, name string) error {
	if err := s.stack.Act(ctx, action, name); err != nil {
		return fmt.Errorf("%s %s: %w", action, name, err)
	}
	return nil
}

// bounce kills a process, leaves it dead for a while, and starts it again.
func (s *Environment) bounce(ctx context.Context, name string, dead time.Duration) error {
	if err := s.Act(ctx, stack.Kill, name); err != nil {
		return err
	}
	if err := s.Wait(ctx, dead); err != nil {
		return err
	}
	return s.Act(ctx, stack.Start, name)
}

// Wait lets time pass.
func (s *Environment) Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Until asks again and again until something is so. It gives up after a while.
func (s *Environment) Until(ctx context.Context, waitTimeout time.Duration, what string, so func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	for {
		ok, err := so(ctx)
		if ok {
			return nil
		}
		if s.Wait(ctx, 20*time.Millisecond) != nil {
			return errors.Join(fmt.Errorf("waited %s until %s", waitTimeout, what), err)
		}
	}
}

// pid returns the process id of a part of the stack.
func (s *Environment) pid(name string) (int, error) {
	p, ok := s.stack.State().Process(name)
	if !ok || p.Pid == 0 {
		return 0, fmt.Errorf("%s does not run", name)
	}
	return p.Pid, nil
}

func (s *Environment) addr(name string) string {
	p, _ := s.stack.State().Process(name)
	return p.Addr
}

// brokers is where the services find Kafka.
func (s *Environment) brokers() string {
	if p, ok := s.proxies[stack.Broker]; ok {
		return p.Listen
	}
	return s.stack.State().Brokers()
}

// kafka returns a client for the drill's own doings.
func (s *Environment) kafka(opts ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(strings.Split(s.brokers(), ",")...), kgo.ClientID("waybill-drill"))...)
	if err != nil {
		return nil, fmt.Errorf("open a Kafka client: %w", err)
	}
	return client, nil
}

// instance returns the newest of the instances that the drill has started of a service.
func (s *Environment) instance(name string) *Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range slices.Backward(s.extra) {
		if e.service == name {
			return e
		}
	}
	return nil
}

// Instance is one more instance of a service.
type Instance struct {
	*process.Process
	Addr    string // where it serves HTTP
	service string
	log     *os.File
}

// Spawn starts one more instance of a service, and returns when it is ready.
func (s *Environment) Spawn(ctx context.Context, name string) (*Instance, error) {
	port, err := loopback.FreePort()
	if err != nil {
		return nil, err
	}
	addr := loopback.Addr(port)
	s.mu.Lock()
	n := len(s.extra) + 2
	s.mu.Unlock()
	log, err := os.Create(filepath.Join(s.dir, "logs", fmt.Sprintf("%s-%d.log", name, n)))
	if err != nil {
		return nil, fmt.Errorf("open the log of another %s: %w", name, err)
	}
	env := append(os.Environ(), "HTTP_ADDR="+addr, "GRPC_ADDR=127.0.0.1:0", "KAFKA_BROKERS="+s.brokers())
	if name == stack.Relay {
		env = append(env, "RELAY_DATABASES="+s.relayDatabases())
	} else {
		env = append(env, "DATABASE_URL="+s.stack.State().Databases[name])
	}
	p, err := process.Start(process.Command{
		Name: fmt.Sprintf("%s-%d", name, n), Path: filepath.Join(s.workspace, "bin", name), Env: env, Output: log,
	})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	e := &Instance{Process: p, service: name, Addr: addr, log: log}
	s.mu.Lock()
	s.extra = append(s.extra, e)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return e, p.AwaitReady(ctx, func(ctx context.Context) error { return stack.AskReady(ctx, addr) })
}

// close ends what the drill has started beside the stack.
func (s *Environment) close(ctx context.Context) error {
	s.mu.Lock()
	extras, closers := s.extra, s.closers
	s.mu.Unlock()
	var errs []error
	for _, e := range extras {
		e.Thaw()
		errs = append(errs, e.Stop(ctx), e.log.Close())
	}
	for _, c := range closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
