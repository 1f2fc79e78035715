package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"waybill.example/devstack/loopback"
	"waybill.example/devstack/process"
)

// EnvURL names the environment variable with the URL of a server to use
// instead of a private one. Its user must be allowed to create databases.
const EnvURL = "WAYBILL_POSTGRES"

// superuser owns everything in a private cluster.
const superuser = "waybill"

// Config says what cluster to prepare.
type Config struct {
	// Dir is where the cluster lives; made when it is not there. See [Home].
	Dir string
	// Port on 127.0.0.1; zero picks a free one.
	Port int
	// Disposable turns fsync off: the data survives a crash of the server, as
	// any does, but not one of the machine. For tests.
	Disposable bool
	// MaxConnections is Postgres' max_connections; zero is 200.
	MaxConnections int
	// Settings are further settings of the server, name=value, and Files what they name: they are
	// in the directory that the server is started in, which is the parent of its data directory.
	Settings []string
	Files    map[string][]byte
	// Progress shows what takes long; nil shows nothing.
	Progress io.Writer
	// Output gets the server's log; nil drops it.
	Output io.Writer
}

// Cluster is a data directory, and the programs that can serve it.
type Cluster struct {
	in          Installation
	as          *syscall.Credential
	home        string
	port        int
	password    string
	disposable  bool
	connections int
	more        []string // settings
	output      io.Writer
}

// Prepare finds the server's programs and makes the data directory, unless it
// is there already. It does not start the server.
func Prepare(ctx context.Context, cfg Config) (*Cluster, error) {
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	in, err := Find(ctx, cfg.Progress)
	if err != nil {
		return nil, err
	}
	c := &Cluster{in: in, port: cfg.Port, disposable: cfg.Disposable, connections: cfg.MaxConnections, more: cfg.Settings, output: cfg.Output}
	if c.as, err = serverUser(); err != nil {
		return nil, err
	}
	if c.home, err = claim(cfg.Dir); err != nil {
		return nil, err
	}
	if c.port == 0 {
		if c.port, err = loopback.FreePort(); err != nil {
			return nil, err
		}
	}
	made, err := os.ReadFile(filepath.Join(c.data(), "PG_VERSION"))
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = c.initdb(ctx)
	case err == nil && number(string(made)) != in.Major:
		err = fmt.Errorf("the data directory %s is Postgres %s's, but the programs in %s are Postgres %d's: remove it to start again without data",
			c.home, strings.TrimSpace(string(made)), in.Bin, in.Major)
	}
	if err != nil {
		return nil, err
	}
	for name, content := range cfg.Files {
		if err := c.write(filepath.Join(c.home, name), string(content)); err != nil {
			return nil, err
		}
	}
	password, err := os.ReadFile(c.passwordFile())
	if err != nil {
		return nil, fmt.Errorf("read the cluster's password: %w", err)
	}
	c.password = string(password)
	return c, nil
}

func (c *Cluster) data() string         { return filepath.Join(c.home, "data") }
func (c *Cluster) passwordFile() string { return filepath.Join(c.home, "password") }

// initdb makes the data directory under another name first, so that one that
// was interrupted is not taken for whole.
func (c *Cluster) initdb(ctx context.Context) error {
	if err := os.MkdirAll(c.home, 0o755); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	unfinished := c.data() + ".new"
	if err := errors.Join(
		os.RemoveAll(unfinished),
		os.Mkdir(unfinished, 0o700),
		giveTo(c.as, unfinished),
		// Any user of this machine can reach the port, and a superuser of the
		// database can run programs as us: hence a password.
		os.WriteFile(c.passwordFile(), []byte(rand.Text()), 0o600),
		giveTo(c.as, c.passwordFile()),
	); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	args := []string{
		"--pgdata=" + unfinished, "--username=" + superuser, "--pwfile=" + c.passwordFile(),
		"--auth=scram-sha-256", "--encoding=UTF8", "--no-locale",
	}
	if c.disposable {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.in.Bin, "initdb"), args...)
	cmd.Dir = c.home
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := os.Rename(unfinished, c.data()); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	return nil
}

// Command returns what serves the cluster. SIGINT is Postgres' "fast" shutdown:
// sessions are ended, the data is checkpointed.
func (c *Cluster) Command() process.Command {
	var args []string
	for _, setting := range c.settings() {
		args = append(args, "-c", setting)
	}
	return process.Command{
		Name:       "postgres",
		Path:       filepath.Join(c.in.Bin, "postgres"),
		Args:       append([]string{"-D", c.data()}, args...),
		Env:        append(os.Environ(), "LC_ALL=C"),
		Dir:        c.home,
		User:       c.as,
		Output:     c.output,
		StopSignal: syscall.SIGINT,
	}
}

func (c *Cluster) settings() []string {
	settings := []string{
		"listen_addresses=127.0.0.1",
		"port=" + strconv.Itoa(c.port),
		"unix_socket_directories=",
		"shared_buffers=256MB",
		"max_connections=" + strconv.Itoa(cmp.Or(c.connections, 200)),
		"max_prepared_transactions=10",
		"waybill.notify=on", // though transactions can be prepared: writers here do not, but for tests that reset it
		"max_wal_size=2GB",
		"huge_pages=off",
		"log_checkpoints=off",
		"log_line_prefix=%m [%p] %d ",
	}
	if c.disposable {
		settings = append(settings, "fsync=off", "full_page_writes=off")
	}
	if c.hasLibrary("pg_stat_statements") {
		settings = append(settings, "shared_preload_libraries=pg_stat_statements")
	}
	return append(settings, c.more...)
}

// hasLibrary looks for a server module where builds keep them.
func (c *Cluster) hasLibrary(name string) bool {
	for _, lib := range []string{"lib", "lib/postgresql"} {
		found, _ := filepath.Glob(filepath.Join(c.in.Bin, "..", lib, name+".*"))
		if len(found) > 0 {
			return true
		}
	}
	return false
}

// Port returns the port on 127.0.0.1 that the server listens on.
func (c *Cluster) Port() int { return c.port }

// URL returns the connection URL of a database, as the superuser.
func (c *Cluster) URL(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, c.password),
		Host:     loopback.Addr(c.port),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Ping reports whether the server answers. A server that is not ready logs a FATAL line for each
// connection that it refuses, so the file is asked first in which it says how far it is.
func (c *Cluster) Ping(ctx context.Context) error {
	if err := c.takesConnections(); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// takesConnections reads the eighth line of postmaster.pid, which is written last.
func (c *Cluster) takesConnections() error {
	const status = 7
	written, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return err
	}
	lines := strings.Split(string(written), "\n")
	if len(lines) <= status {
		return errors.New("the server has only begun to start")
	}
	switch state := strings.TrimSpace(lines[status]); state {
	case "ready", "standby":
		return nil
	default:
		return fmt.Errorf("the server is %s", state)
	}
}
