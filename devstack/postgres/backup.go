package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/devstack/process"
)

// Backup is a base backup of a running server and the log that it has written since: what the
// server can be recovered from as it was at any moment between then and now.
type Backup struct {
	cluster  *Cluster // which was backed up
	home     string
	receiver *process.Process
}

// BackUp makes a base backup of the running server with pg_basebackup, in dir, which is emptied
// first, and goes on to receive the server's log with pg_receivewal. Close the backup.
func (c *Cluster) BackUp(ctx context.Context, dir string) (*Backup, error) {
	home, err := claim(dir)
	if err != nil {
		return nil, err
	}
	b := &Backup{cluster: c, home: home}
	if err := errors.Join(c.emptied(home), c.emptied(b.log())); err != nil {
		return nil, err
	}
	// The log first: what is written from here on is missing in neither.
	receive, err := c.client(ctx, "pg_receivewal", c.URL("postgres"), "--directory="+b.log())
	if err != nil {
		return nil, err
	}
	b.receiver, err = process.Start(process.Command{
		Name: "pg_receivewal", Path: receive.Path, Args: receive.Args[1:], Env: receive.Env, Dir: home, User: c.as, Output: c.output,
	})
	if err != nil {
		return nil, err
	}
	err = b.receiver.AwaitReady(ctx, func(context.Context) error { return b.received() })
	if err == nil {
		err = c.run(c.client(ctx, "pg_basebackup", c.URL("postgres"), "--pgdata="+b.base(), "--checkpoint=fast", "--wal-method=stream"))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("back the server up: %w", err), b.Close())
	}
	return b, nil
}

func (b *Backup) base() string { return filepath.Join(b.home, "base") }
func (b *Backup) log() string  { return filepath.Join(b.home, "log") }

func (b *Backup) received() error {
	segments, err := os.ReadDir(b.log())
	if err == nil && len(segments) == 0 {
		err = errors.New("no segment of the log has come")
	}
	return err
}

// Close ends the receiving of the log. The files stay.
func (b *Backup) Close() error {
	b.receiver.Kill()
	return nil
}

// Recover serves a copy of the server in dir, which is emptied first, as it was at a moment of the
// server's clock. The server that was backed up may be running, or gone.
func (b *Backup) Recover(ctx context.Context, dir string, moment time.Time) (*Server, error) {
	home, err := claim(dir)
	if err != nil {
		return nil, err
	}
	copied := &Cluster{as: b.cluster.as, home: home, in: b.cluster.in}
	settings := fmt.Sprintf("restore_command = '%s'\nrecovery_target_time = '%s'\nrecovery_target_action = 'promote'\n",
		strings.ReplaceAll(b.restoreCommand(), "'", "''"), moment.UTC().Format("2006-01-02 15:04:05.999999-07"))
	if err := copied.emptied(home); err != nil {
		return nil, err
	}
	if err := errors.Join(
		copied.run(copied.command(ctx, "cp", "-a", b.base(), copied.data()), nil),
		copied.write(copied.passwordFile(), b.cluster.password),
		copied.write(filepath.Join(copied.data(), "recovery.signal"), ""),
		copied.write(filepath.Join(copied.data(), "postgresql.auto.conf"), settings),
	); err != nil {
		return nil, fmt.Errorf("copy the base backup: %w", err)
	}
	server, err := Start(ctx, Config{Dir: dir, Output: b.cluster.output})
	if err != nil {
		return nil, fmt.Errorf("recover the server as of %s: %w", moment, err)
	}
	if err := server.process.AwaitReady(ctx, server.promoted); err != nil {
		server.Kill()
		return nil, fmt.Errorf("recover the server as of %s: %w", moment, err)
	}
	return server, nil
}

// restoreCommand finds the last segment, too, which is still being received.
func (b *Backup) restoreCommand() string {
	segment := filepath.Join(b.log(), "%f")
	return fmt.Sprintf(`cp "%s" "%%p" 2>/dev/null || cp "%s.partial" "%%p"`, segment, segment)
}

func (s *Server) promoted(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var recovers bool
	if err := conn.QueryRow(ctx, "select pg_is_in_recovery()").Scan(&recovers); err != nil {
		return fmt.Errorf("ask whether the server is in recovery: %w", err)
	}
	if recovers {
		return errors.New("it is in recovery")
	}
	return nil
}

// Replace puts the files of another server in the place of the cluster's. Both must have been
// stopped. What was there is kept beside it, with the ending .lost.
func (c *Cluster) Replace(by *Server) error {
	if err := errors.Join(os.Rename(c.data(), c.data()+".lost"), os.Rename(by.cluster.data(), c.data())); err != nil {
		return fmt.Errorf("replace the server's files: %w", err)
	}
	return nil
}
