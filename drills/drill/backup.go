package drill

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/devstack/postgres"
	"waybill.example/devstack/stack"
	"waybill.example/drills/audit"
	"waybill.example/migrations"
)

// Point-in-time recovery, as docs/backups.md describes it. A base backup of the whole server is
// made while everything runs, and its log is received from there on; some time later the server is
// recovered beside the one that is at work, as it was at a moment. From there single databases are
// dumped, restored beside those that are at work, and put in their place by renaming them; or the
// whole server takes the place of the other.

// backUp makes the base backup, unless it is there, and returns a moment to go back to.
func (s *Environment) backUp(ctx context.Context) (moment time.Time, err error) {
	if s.cluster == nil {
		if err := s.makeBackup(ctx); err != nil {
			return moment, err
		}
	}
	if err := s.pools[stack.Orders].QueryRow(ctx, "select clock_timestamp()").Scan(&moment); err != nil {
		return moment, fmt.Errorf("ask Postgres for its time: %w", err)
	}
	return moment, nil
}

func (s *Environment) makeBackup(ctx context.Context) error {
	if _, external, _ := postgres.External(); external {
		return fmt.Errorf("the drill backs up the whole server, and the one of %s is not its own", postgres.EnvURL)
	}
	began := time.Now()
	_, port, err := net.SplitHostPort(s.addr(stack.Postgres))
	if err != nil {
		return fmt.Errorf("the address of Postgres: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return fmt.Errorf("the port of Postgres: %w", err)
	}
	if s.cluster, err = postgres.Prepare(ctx, postgres.Config{Dir: filepath.Join(s.dir, stack.Postgres), Port: number}); err != nil {
		return err
	}
	if s.backup, err = s.cluster.BackUp(ctx, filepath.Join(s.dir, "backup")); err != nil {
		return err
	}
	s.mu.Lock()
	s.closers = append(s.closers, s.backup)
	s.mu.Unlock()
	s.Measured("the base backup took %s, under load", time.Since(began).Round(10*time.Millisecond))
	return nil
}

// recoverServer serves the whole server as it was at a moment, beside the one that is at work. The
// caller ends it.
func (s *Environment) recoverServer(ctx context.Context, moment time.Time) (*postgres.Server, error) {
	began := time.Now()
	server, err := s.backup.Recover(ctx, filepath.Join(s.dir, "recovered"), moment)
	if err != nil {
		return nil, err
	}
	s.Measured("the server was recovered as of %s in %s", moment.UTC().Format(time.TimeOnly), time.Since(began).Round(10*time.Millisecond))
	return server, nil
}

func restoredOf(name string) string { return name + "_restored" }
func lostOf(name string) string     { return name + "_lost" }

// putBack takes single databases back to a moment, under whatever is connected to them.
func (s *Environment) putBack(ctx context.Context, moment time.Time, names ...string) error {
	server, err := s.recoverServer(ctx, moment)
	if err != nil {
		return err
	}
	defer server.Kill()
	for _, name := range names {
		if err := s.copyBack(ctx, server, name); err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
	}
	for _, name := range names {
		end := s.Outage(name + " restored")
		err := s.swap(ctx, name)
		end()
		if err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
		s.wentBack(moment, name)
	}
	return nil
}

// copyBack restores a database beside the one that is at work. What a dump lacks is what belongs to
// no table: who may connect, and what the planner knows.
func (s *Environment) copyBack(ctx context.Context, from *postgres.Server, name string) error {
	restored := restoredOf(name)
	admin, err := s.connect(ctx, name, "postgres")
	if err != nil {
		return err
	}
	defer admin.Close(context.WithoutCancel(ctx))
	if _, err := admin.Exec(ctx, "create database "+restored); err != nil {
		return err
	}
	if err := s.cluster.CopyDatabase(ctx, from.URL(name), s.cluster.URL(restored)); err != nil {
		return err
	}
	for login, roles := range stack.Logins(name) {
		if err := migrations.ApplyGrants(ctx, s.cluster.URL(restored), login, roles...); err != nil {
			return err
		}
	}
	conn, err := s.connect(ctx, name, restored)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if name == stack.Orders {
		// It goes on on the timeline that it had, and Orders would not notice that ids are lost.
		if _, err := conn.Exec(ctx, "update orders_timeline set timeline = 0"); err != nil {
			return fmt.Errorf("have Orders skip ids: %w", err)
		}
	}
	_, err = conn.Exec(ctx, "analyze")
	return err
}

// swap has a restored database take the place of the one that is at work, in an instant without
// sessions.
func (s *Environment) swap(ctx context.Context, name string) error {
	admin, err := s.connect(ctx, name, "postgres")
	if err != nil {
		return err
	}
	defer admin.Close(context.WithoutCancel(ctx))
	if _, err := admin.Exec(ctx, fmt.Sprintf("alter database %s allow_connections false", name)); err != nil {
		return err
	}
	const othersSQL = `select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1`
	if err := s.Until(ctx, 20*time.Second, "nobody is connected to "+name, func(ctx context.Context) (bool, error) {
		var others int
		err := admin.QueryRow(ctx, othersSQL, name).Scan(&others)
		return others == 0, err
	}); err != nil {
		return err
	}
	for _, statement := range []string{
		fmt.Sprintf("alter database %s rename to %s", name, lostOf(name)),
		fmt.Sprintf("alter database %s rename to %s", restoredOf(name), name),
	} {
		if _, err := admin.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// wentBack tells the audit what an operator tells it: which database was taken back, to when, and
// when that was.
func (s *Environment) wentBack(moment time.Time, name string) {
	now := time.Now()
	s.Measured("%s went back %s", name, now.Sub(moment).Round(10*time.Millisecond))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audit.Restored = append(s.audit.Restored, audit.Restored{Database: name, From: moment, To: now})
}

// putAllBack takes the whole server back to a moment. Nothing may be connected to it.
func (s *Environment) putAllBack(ctx context.Context, moment time.Time) error {
	server, err := s.recoverServer(ctx, moment)
	if err != nil {
		return err
	}
	if err := errors.Join(server.Stop(), s.Act(ctx, stack.Stop, stack.Postgres)); err != nil { //nolint:contextcheck // it ends, also where ctx is done
		return err
	}
	if err := s.cluster.Replace(server); err != nil {
		return err
	}
	if err := s.Act(ctx, stack.Start, stack.Postgres); err != nil {
		return err
	}
	for name := range s.stack.State().Databases {
		s.wentBack(moment, name)
	}
	return nil
}

// connect opens a connection to another database of the server that has the named one.
func (s *Environment) connect(ctx context.Context, name, database string) (*pgx.Conn, error) {
	u, err := url.Parse(s.stack.State().Databases[name])
	if err != nil {
		return nil, fmt.Errorf("the URL of the database %s: %w", name, err)
	}
	u.Path = "/" + database
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("connect to the database %s: %w", database, err)
	}
	return conn, nil
}

// removeBackup frees the disk: the last drill's databases are kept, and not twice.
func (s *Environment) removeBackup() error {
	if s.cluster == nil {
		return nil
	}
	for _, dir := range []string{"backup", "recovered"} {
		if err := postgres.Remove(filepath.Join(s.dir, dir)); err != nil {
			return err
		}
	}
	return nil
}
