package drill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/devstack/stack"
)

// compose is the system of compose.yaml, on Redpanda, run by Docker.
type compose struct {
	workspace string
	log       io.Writer
}

// containers names the service in compose.yaml of each process.
var containers = map[string]string{
	stack.Broker: "redpanda", stack.Postgres: "postgres", stack.Orders: "orders", stack.Inventory: "inventory",
	stack.Orchestrator: "orchestrator", stack.Relay: "outbox-relay",
}

// verbs of docker compose. A container that was killed by hand is not restarted by its policy.
var verbs = map[stack.Action]string{
	stack.Start: "start", stack.Launch: "start", stack.Stop: "stop", stack.Kill: "kill",
	stack.Freeze: "pause", stack.Thaw: "unpause",
}

// upCompose builds the images and starts everything, on empty volumes.
func upCompose(ctx context.Context, workspace string, log io.Writer) (system, error) {
	c := &compose{workspace: workspace, log: log}
	if _, err := exec.LookPath("docker"); err != nil {
		return nil, fmt.Errorf("find Docker, which runs the system of compose.yaml: %w", err)
	}
	if err := c.Down(ctx); err != nil {
		return nil, err
	}
	if err := c.docker(ctx, "up", "--build", "--detach", "--wait"); err != nil {
		return nil, errors.Join(err, c.Down(context.WithoutCancel(ctx)))
	}
	return c, nil
}

func (c *compose) docker(ctx context.Context, args ...string) error {
	args = append([]string{"compose", "--file", "compose.yaml", "--file", "drills/compose.yaml"}, args...)
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Dir = c.workspace
	var failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = c.log, io.MultiWriter(c.log, &failure)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("docker %v: %w: %s", args, err, bytes.TrimSpace(failure.Bytes()))
	}
	return nil
}

// Act implements system.
func (c *compose) Act(ctx context.Context, action stack.Action, name string) error {
	container, ok := containers[name]
	if !ok {
		return fmt.Errorf("compose.yaml has no %s", name)
	}
	if err := c.docker(ctx, verbs[action], container); err != nil || action != stack.Start {
		return err
	}
	return c.awaitReady(ctx, name)
}

// awaitReady asks what was started until it answers.
func (c *compose) awaitReady(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	state := c.State()
	p, _ := state.Process(name)
	for {
		var err error
		switch name {
		case stack.Broker:
			err = stack.PingBroker(ctx, p.Addr)
		case stack.Postgres:
			err = pingPostgres(ctx, state.Databases[stack.Orders])
		default:
			err = stack.AskReady(ctx, p.Addr)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", name, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func pingPostgres(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// State implements system. The addresses are those that compose.yaml publishes.
func (c *compose) State() stack.State {
	state := stack.State{Databases: map[string]string{}}
	for name, addr := range map[string]string{
		stack.Broker: "127.0.0.1:19092", stack.Postgres: "127.0.0.1:15432", stack.Orders: "127.0.0.1:8080",
		stack.Inventory: "127.0.0.1:8081", stack.Orchestrator: "127.0.0.1:8082", stack.Relay: "127.0.0.1:8083",
	} {
		process := stack.Process{Name: name, Addr: addr}
		if name == stack.Inventory {
			process.GRPC = "127.0.0.1:9081"
		}
		state.Processes = append(state.Processes, process)
	}
	for _, name := range []string{stack.Orders, stack.Inventory, stack.Orchestrator} {
		state.Databases[name] = "postgres://waybill:waybill@127.0.0.1:15432/" + name + "?sslmode=disable"
	}
	return state
}

// Down implements system.
func (c *compose) Down(ctx context.Context) error { return c.docker(ctx, "down", "--volumes") }
