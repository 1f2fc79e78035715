package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/devstack/stack"
)

// setUp brings a fresh stack up. It returns an environment also with an error, if there is
// something to tear down.
func (r *runner) setUp(ctx context.Context) (*Environment, error) {
	s := &Environment{
		Random:    rand.New(rand.NewPCG(r.options.Seed, 0)),
		workspace: r.options.Workspace, dir: r.options.Dir,
		pools: map[string]*pgxpool.Pool{}, proxies: map[string]*proxy{},
		run: fmt.Sprintf("%s-%d", r.drill.Name, time.Now().Unix()),
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the drill's directory: %w", err)
	}
	if err := os.Remove(s.ledgerPath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the last drill's ledger: %w", err)
	}
	console, err := os.Create(filepath.Join(s.dir, "stack.log"))
	if err != nil {
		return nil, fmt.Errorf("open the stack's log: %w", err)
	}
	s.closers = append(s.closers, console)
	cfg := stack.Config{
		Workspace: s.workspace, Dir: s.dir, EphemeralPorts: true, Fresh: true,
		KafkaNodes: max(r.options.KafkaNodes, r.drill.KafkaNodes), Partitions: r.drill.Partitions, Standby: r.drill.Standby,
		Env: r.drill.Env, Shards: r.drill.Shards, Console: stack.NewConsole(console, false),
	}
	if r.drill.Notified {
		if cfg.Env, err = s.notifying(cfg.Env); err != nil {
			return s, err
		}
	}
	if r.drill.Proxied {
		cfg.Front = func(server, addr string) (string, error) {
			p, err := newProxy(server, addr)
			if err != nil {
				return "", err
			}
			s.proxies[server] = p
			s.closers = append(s.closers, p)
			return p.Listen, nil
		}
	}
	if s.stack, err = r.up(ctx, cfg, console); err != nil {
		return s, err
	}
	s.urls = []string{"http://" + s.addr(stack.Orders)}
	return s, s.openPools(ctx)
}

// up starts the system that the options ask for.
func (r *runner) up(ctx context.Context, cfg stack.Config, log io.Writer) (system, error) {
	if r.options.Compose {
		return upCompose(ctx, r.options.Workspace, log)
	}
	s, err := stack.Up(ctx, cfg)
	if err != nil {
		return nil, err // and not an interface that holds a nil
	}
	return s, nil
}

func (s *Environment) ledgerPath() string { return filepath.Join(s.dir, "ledger.jsonl") }

func (s *Environment) tearDown(ctx context.Context) error {
	for _, pool := range s.pools {
		pool.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := s.close(ctx)
	if s.stack != nil {
		err = errors.Join(err, s.stack.Down(ctx))
	}
	return errors.Join(err, s.removeBackup())
}
