package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/devstack/loopback"
)

// standbyName is what a standby calls itself, by which its primary can wait for it.
const standbyName = "standby"

// Standby is a cluster that follows another by streaming replication, until it is promoted.
type Standby struct {
	*Cluster

	primary *Cluster
}

// Standby returns what is to follow the cluster, in a directory and on a port of its own. Make its
// data directory with [Standby.Copy] before its server is started.
func (c *Cluster) Standby(dir string, port int) (*Standby, error) {
	home, err := claim(dir)
	if err != nil {
		return nil, err
	}
	follower := *c
	follower.home, follower.port = home, port
	follower.more = append([]string{"cluster_name=" + standbyName}, c.more...)
	return &Standby{&follower, c}, nil
}

// Promoted reports whether the standby was promoted: its data directory is then a primary's, and
// may have what no other server has.
func (s *Standby) Promoted() bool {
	_, made := os.Stat(filepath.Join(s.data(), "PG_VERSION"))
	_, follows := os.Stat(filepath.Join(s.data(), "standby.signal"))
	return made == nil && follows != nil
}

// Copy makes the data directory with pg_basebackup, from the primary, which has to run. It replaces
// that of a standby, and refuses to replace one that was promoted.
func (s *Standby) Copy(ctx context.Context) error {
	if s.Promoted() {
		return fmt.Errorf("the standby in %s was promoted: its data is not replaced", s.home)
	}
	if err := errors.Join(os.MkdirAll(s.home, 0o755), os.RemoveAll(s.data())); err != nil {
		return fmt.Errorf("make the standby's data directory: %w", err)
	}
	unfinished := s.data() + ".new"
	if err := errors.Join(os.RemoveAll(unfinished), os.Mkdir(unfinished, 0o700), giveTo(s.as, unfinished)); err != nil {
		return fmt.Errorf("make the standby's data directory: %w", err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.in.Bin, "pg_basebackup"),
		"--pgdata="+unfinished, "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync",
		fmt.Sprintf("--dbname=host=127.0.0.1 port=%d user=%s application_name=%s", s.primary.port, superuser, standbyName))
	cmd.Dir = s.home
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PGPASSWORD="+s.password)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	if err := os.Rename(unfinished, s.data()); err != nil {
		return fmt.Errorf("make the standby's data directory: %w", err)
	}
	return nil
}

const (
	streamsSQL     = `select count(*) from pg_stat_replication where application_name = $1 and state = 'streaming' and (sync_state = 'sync' or not $2)`
	synchronousSQL = `alter system set synchronous_standby_names = '` + standbyName + `'`
	reloadSQL      = `select pg_reload_conf()`
)

// AwaitStreaming waits until the standby has caught up with its primary. With synchronous, commits
// wait for the standby from then on.
func (s *Standby) AwaitStreaming(ctx context.Context, synchronous bool) error {
	conn, err := pgx.Connect(ctx, s.primary.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the primary: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if synchronous {
		for _, sql := range []string{synchronousSQL, reloadSQL} {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return fmt.Errorf("have commits wait for the standby: %w", err)
			}
		}
	}
	for {
		var streaming int
		if err := conn.QueryRow(ctx, streamsSQL, standbyName, synchronous).Scan(&streaming); err != nil {
			return fmt.Errorf("look at the standby: %w", err)
		}
		if streaming == 1 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the standby: %w", context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Promote makes a primary of the standby, whose server has to run. Nothing keeps the old primary
// from taking writes if that runs as well.
func (s *Standby) Promote(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the standby: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var promoted bool
	if err := conn.QueryRow(ctx, `select pg_promote(true, 60)`).Scan(&promoted); err != nil {
		return fmt.Errorf("promote the standby: %w", err)
	}
	if !promoted {
		return errors.New("promote the standby: it was not done within a minute")
	}
	return nil
}

const stopStreamingSQL = `alter system set primary_conninfo = ''`

// StopStreaming has a standby, by a session with it, receive nothing from here on: promoted, it
// lacks what its primary has committed since.
func StopStreaming(ctx context.Context, conn *pgx.Conn) error {
	for _, sql := range []string{stopStreamingSQL, reloadSQL} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("stop streaming: %w", err)
		}
	}
	for receiving := 1; receiving > 0; {
		if err := conn.QueryRow(ctx, `select count(*) from pg_stat_wal_receiver`).Scan(&receiving); err != nil {
			return fmt.Errorf("stop streaming: %w", err)
		}
	}
	return nil
}

// StandbyServer is the server of a standby.
type StandbyServer struct {
	*Server

	standby *Standby
}

// StartStandby copies the server into a directory, and serves the copy, which follows it.
func (s *Server) StartStandby(ctx context.Context, dir string) (*StandbyServer, error) {
	port, err := loopback.FreePort()
	if err != nil {
		return nil, err
	}
	standby, err := s.cluster.Standby(dir, port)
	if err != nil {
		return nil, err
	}
	if err := standby.Copy(ctx); err != nil {
		return nil, err
	}
	follower := &StandbyServer{&Server{cluster: standby.Cluster}, standby}
	if err := follower.Start(ctx); err != nil {
		return nil, err
	}
	return follower, standby.AwaitStreaming(ctx, false)
}

// Promote is [Standby.Promote].
func (s *StandbyServer) Promote(ctx context.Context) error { return s.standby.Promote(ctx) }

// BothHosts adds the host of another server to a URL, of which the one that takes writes is to be
// used.
func BothHosts(primary, other string) (string, error) {
	u, err := url.Parse(primary)
	if err != nil {
		return "", errors.New("the URL of the primary is not valid")
	}
	u.Host += "," + other
	query := u.Query()
	query.Set("target_session_attrs", "read-write")
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// CaughtUp waits until the standby has applied what the primary has committed by now.
func (s *StandbyServer) CaughtUp(ctx context.Context) error {
	primary, err := pgx.Connect(ctx, s.standby.primary.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the primary: %w", err)
	}
	defer primary.Close(context.WithoutCancel(ctx))
	var lsn string
	if err := primary.QueryRow(ctx, `select pg_current_wal_lsn()::text`).Scan(&lsn); err != nil {
		return fmt.Errorf("ask how far the primary has come: %w", err)
	}
	for behind := true; behind; {
		const behindSQL = `select coalesce(bool_or(replay_lsn < $2::text::pg_lsn), true) from pg_stat_replication where application_name = $1`
		if err := primary.QueryRow(ctx, behindSQL, standbyName, lsn).Scan(&behind); err != nil {
			return fmt.Errorf("ask how far the standby has come: %w", err)
		}
	}
	return nil
}
