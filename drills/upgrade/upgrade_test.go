package upgrade_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/loopback"
	"waybill.example/devstack/process"
	"waybill.example/devstack/stack"
	"waybill.example/drills/audit"
	"waybill.example/drills/internal/revision"
	"waybill.example/drills/load"
	"waybill.example/migrations"
)

// previous is what is upgraded from. Nothing was released yet: it is a commit that others could
// have deployed. After a release it is that release's tag.
const previous = "31d246f83a471ac7fccf7d3bb3c1916308e9fad3"

const (
	rate = 50.0            // orders a second
	hold = 4 * time.Second // how long each phase has the load
)

var services = []string{stack.Orders, stack.Inventory, stack.Orchestrator, stack.Relay}

// The steps of docs/upgrading.md, each under load: the schema is migrated while the previous
// services run on it; new instances join them, so that both versions read each other's messages;
// the previous ones end; then the services, and not the schema, are rolled back. Every order that
// was accepted ends, every one once, and the audit finds nothing.
func TestUpgrade_UnderLoadNothingIsLost(t *testing.T) {
	t.Parallel()
	u := start(t)
	u.place(t, "before", hold, u.addr(stack.Orders))

	u.refusesOldSchema(t)
	migrating := make(chan error, 1)
	time.AfterFunc(time.Second, func() { migrating <- u.migrate(t.Context()) })
	u.place(t, "while migrating", hold, u.addr(stack.Orders))
	require.NoError(t, <-migrating)
	u.place(t, "previous services, new schema", hold, u.addr(stack.Orders))

	instances := map[string]instance{}
	for _, name := range services {
		instances[name] = u.join(t, name)
	}
	u.place(t, "both", hold, u.addr(stack.Orders), instances[stack.Orders].addr)

	for _, name := range services {
		u.supervise(t, "stop", name)
	}
	u.place(t, "new services", hold, instances[stack.Orders].addr)

	for _, name := range services {
		u.supervise(t, "start", name)
	}
	for _, name := range services {
		require.NoError(t, instances[name].process.Stop(t.Context()), name)
	}
	u.place(t, "rolled back", hold, u.addr(stack.Orders))
	u.audit(t)
}

// upgrade is a stack of the previous revision, and what is placed on it.
type upgrade struct {
	*revision.Stack

	tree, workspace, dir string
	ledger               *load.Ledger
	ledgerPath           string
}

func start(t *testing.T) *upgrade {
	t.Helper()
	from := os.Getenv("WAYBILL_UPGRADE_FROM")
	if from == "" {
		t.Skip("it builds two revisions: make test-upgrade")
	}
	if from == "previous" {
		from = previous
	}
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	if err := exec.CommandContext(t.Context(), "git", "-C", workspace, "cat-file", "-e", from+"^{commit}").Run(); err != nil {
		t.Skipf("this clone lacks revision %s, from which it would be upgraded; git fetch --unshallow gets it", from)
	}
	work := filepath.Join(workspace, ".waybill", "upgrade")
	require.NoError(t, os.MkdirAll(work, 0o755))
	u := &upgrade{workspace: workspace, tree: filepath.Join(work, "tree"), dir: filepath.Join(work, "stack"), ledgerPath: filepath.Join(t.TempDir(), "ledger.jsonl")}
	_, err = revision.Checkout(t.Context(), workspace, from, u.tree)
	require.NoError(t, err)
	_, err = stack.Build(t.Context(), workspace, io.Discard)
	require.NoError(t, err)
	log, err := os.Create(filepath.Join(work, "devstack.log"))
	require.NoError(t, err)
	u.Stack, err = revision.Start(t.Context(), u.tree, u.dir, log)
	require.NoError(t, err)
	u.ledger, err = load.CreateLedger(u.ledgerPath)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, u.Close(context.WithoutCancel(t.Context())))
		require.NoError(t, log.Close())
	})
	return u
}

func (u *upgrade) addr(name string) string {
	p, _ := u.State.Process(name)
	return p.Addr
}

// place puts a load on the system, and requires that each request was accepted in the end.
func (u *upgrade) place(t *testing.T, phase string, d time.Duration, addrs ...string) {
	t.Helper()
	var urls []string
	for _, addr := range addrs {
		urls = append(urls, "http://"+addr)
	}
	generator, err := load.New(load.Config{
		URLs: urls, Rate: rate, Run: "upgrade-" + strings.ReplaceAll(phase, " ", "-"), Ledger: u.ledger, RetryFor: time.Minute, RepeatEvery: 20,
		Mix: load.Mix{{Weight: 9, SKU: "burger", Quantity: 1}, {Weight: 1, SKU: "unicorn", Quantity: 1}},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	totals := generator.Run(ctx)
	t.Logf("%s: %d accepted, %d failed at first, slowest %s", phase, totals.Accepted, totals.Failed, totals.Latency.Max.Round(time.Millisecond))
	require.Positive(t, totals.Accepted, phase)
	require.Zero(t, totals.Unanswered, "%s: %v", phase, totals.Failures)
}

// migrate does what `migrate up --grant` does, with the migrations of this tree.
func (u *upgrade) migrate(ctx context.Context) error {
	for name, url := range u.State.Databases {
		steps, err := migrations.Up(ctx, url, migrations.Outbox, migrations.Set(name))
		if err != nil {
			return fmt.Errorf("migrate %s (%d applied): %w", name, len(steps), err)
		}
		service := []migrations.Role{migrations.Writer, migrations.Consumer, migrations.Role(name)}
		if name == stack.Orchestrator {
			service = append(service, migrations.Reader)
		}
		for login, roles := range map[string][]migrations.Role{name + "_service": service, name + "_relay": {migrations.Relay}} {
			if err := migrations.ApplyGrants(ctx, url, login, roles...); err != nil {
				return fmt.Errorf("grant on %s: %w", name, err)
			}
		}
	}
	return nil
}

// refusesOldSchema holds that a service which needs more than it finds says so and ends.
func (u *upgrade) refusesOldSchema(t *testing.T) {
	t.Helper()
	for _, name := range []string{stack.Orders, stack.Inventory, stack.Orchestrator} {
		pending, err := migrations.Plan(t.Context(), u.State.Databases[name], migrations.Outbox, migrations.Set(name))
		require.NoError(t, err)
		if len(pending) == 0 {
			continue // there is nothing to refuse
		}
		one := u.spawn(t, name)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := one.process.AwaitReady(ctx, func(ctx context.Context) error { return stack.AskReady(ctx, one.addr) }); err != nil {
			require.Contains(t, strings.Join(one.process.Tail(), "\n"), "run: migrate up", name)
			t.Logf("the new %s refuses the previous schema, and says what to run", name)
		} else {
			t.Logf("the new %s needs none of the %d pending migrations", name, len(pending))
			require.NoError(t, one.process.Stop(ctx))
		}
		cancel()
	}
}

// instance is a process of this tree beside those of the previous one.
type instance struct {
	process *process.Process
	addr    string
}

// spawn starts the service of this tree with the settings of the previous one's process, its login
// among them, but for where it listens.
func (u *upgrade) spawn(t *testing.T, name string) instance {
	t.Helper()
	p, ok := u.State.Process(name)
	require.True(t, ok)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.Pid))
	if err != nil {
		t.Skipf("the settings of a process can be read on Linux only: %v", err)
	}
	env := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	var addr string
	for _, variable := range []string{"GRPC_ADDR", "HTTP_ADDR"} {
		port, err := loopback.FreePort()
		require.NoError(t, err)
		addr = loopback.Addr(port)
		env = append(env, variable+"="+addr) // the last of a name counts
	}
	one, err := process.Start(process.Command{Name: name, Path: filepath.Join(u.workspace, "bin", name), Env: env, Output: io.Discard})
	require.NoError(t, err)
	t.Cleanup(func() { _ = one.Stop(context.WithoutCancel(t.Context())) })
	return instance{one, addr}
}

// join starts an instance and waits until it is ready.
func (u *upgrade) join(t *testing.T, name string) instance {
	t.Helper()
	one := u.spawn(t, name)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := one.process.AwaitReady(ctx, func(ctx context.Context) error { return stack.AskReady(ctx, one.addr) })
	require.NoError(t, err, "%s: %s", name, strings.Join(one.process.Tail(), "\n"))
	return one
}

// supervise has the previous devstack act on one of its own processes.
func (u *upgrade) supervise(t *testing.T, verb, name string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(u.tree, "bin", "devstack"), verb, "--dir", u.dir, name).CombinedOutput()
	require.NoError(t, err, string(out))
}

// audit waits until every order has ended, and then requires that nothing is lost or doubled.
func (u *upgrade) audit(t *testing.T) {
	t.Helper()
	require.NoError(t, u.ledger.Close())
	orders, err := pgx.Connect(t.Context(), u.State.Databases[stack.Orders])
	require.NoError(t, err)
	defer orders.Close(t.Context())
	require.Eventually(t, func() bool {
		var open int
		err := orders.QueryRow(t.Context(), "select count(*) from orders where status = 'PENDING'").Scan(&open)
		return err == nil && open == 0
	}, 2*time.Minute, 200*time.Millisecond, "orders have not ended")
	broker, _ := u.State.Process(stack.Broker)
	auditor, err := audit.New(t.Context(), audit.Config{
		Databases: u.State.Databases, Brokers: []string{broker.Addr}, Ledger: u.ledgerPath,
		Limits: audit.Limits{Settle: 2 * time.Second, Overdue: 5 * time.Minute},
	})
	require.NoError(t, err)
	defer auditor.Close()
	var found audit.Report
	require.Eventually(t, func() bool {
		found, err = auditor.Pass(t.Context())
		return err == nil && found.Open == 0
	}, time.Minute, time.Second, "the audit has nothing left to wait for")
	require.Empty(t, found.Findings())
}
