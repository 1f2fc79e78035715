package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// CopyDatabase dumps a database and restores it into another one, which is there and empty: of
// another server, as a rule. Neither of the URLs may be of a server with another superuser.
func (c *Cluster) CopyDatabase(ctx context.Context, from, to string) error {
	dump, err := c.client(ctx, "pg_dump", from, "--format=custom")
	if err != nil {
		return err
	}
	restore, err := c.client(ctx, "pg_restore", to, "--exit-on-error", "--single-transaction")
	if err != nil {
		return err
	}
	var said strings.Builder
	dump.Stderr = &said
	if restore.Stdin, err = dump.StdoutPipe(); err != nil {
		return fmt.Errorf("run pg_dump: %w", err)
	}
	if err := dump.Start(); err != nil {
		return fmt.Errorf("run pg_dump: %w", err)
	}
	err = c.run(restore, nil)
	if dumped := dump.Wait(); dumped != nil {
		err = errors.Join(err, fmt.Errorf("pg_dump: %w\n%s", dumped, said.String()))
	}
	return err
}

// client is one of Postgres' client programs, which is passed the password where nobody else sees
// it.
func (c *Cluster) client(ctx context.Context, program, database string, args ...string) (*exec.Cmd, error) {
	path := filepath.Join(c.in.Bin, program)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("there is no %s beside the server's programs: install Postgres' client programs: %w", program, err)
	}
	at, err := url.Parse(database)
	if err != nil {
		return nil, errors.New("the URL of the database cannot be read") // it has the password
	}
	password, _ := at.User.Password()
	at.User = url.User(at.User.Username())
	cmd := c.command(ctx, path, append(args, "--dbname="+at.String(), "--no-password")...)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password, "LC_ALL=C")
	return cmd, nil
}

// command runs as the server does.
func (c *Cluster) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = c.home
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as}
	return cmd
}

// run takes what client returns.
func (c *Cluster) run(cmd *exec.Cmd, err error) error {
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, out)
	}
	return nil
}

// emptied makes a directory of the server's user, without what was in it.
func (c *Cluster) emptied(dir string) error {
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755), giveTo(c.as, dir)); err != nil {
		return fmt.Errorf("make a directory for the server: %w", err)
	}
	return nil
}

// write makes a file of the server's user.
func (c *Cluster) write(path, content string) error {
	if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), giveTo(c.as, path)); err != nil {
		return fmt.Errorf("write the server's files: %w", err)
	}
	return nil
}
