package stack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"waybill.example/devstack/loopback"
	"waybill.example/devstack/postgres"
)

// Replication says whether commits wait for the standby.
type Replication string

// The kinds of replication; "" has no standby.
const (
	Asynchronous Replication = "async"
	Synchronous  Replication = "sync"
)

// settings keep a gigabyte of WAL for a standby that falls behind.
func (r Replication) settings() []string {
	if r == "" {
		return nil
	}
	return []string{"wal_keep_size=1GB"}
}

// planStandby adds the standby, and has everybody look for the primary on both hosts.
func (s *Stack) planStandby(p *plan, port int) (err error) {
	switch {
	case p.cluster == nil && s.cfg.Standby != "":
		return fmt.Errorf("a standby can only be added to a Postgres of the stack's own, not to that of %s", postgres.EnvURL)
	case p.cluster == nil:
		return nil
	case s.cfg.Front != nil && s.cfg.Standby != "":
		return errors.New("a stack has either proxies or a standby")
	}
	standby, err := p.cluster.Standby(filepath.Join(s.cfg.Dir, Standby), port)
	if err != nil {
		return err
	}
	if standby.Promoted() {
		return fmt.Errorf("the standby in %s was promoted, so its data is newer than that of %s: `devstack up --fresh` removes both", s.cfg.Dir, Postgres)
	}
	if s.cfg.Standby == "" {
		return nil
	}
	addr := loopback.Addr(port)
	p.standby = standby
	p.standbyUnit = &unit{
		name:    Standby,
		addr:    addr,
		command: standby.Command(),
		ready:   standby.Ping,
		promote: standby.Promote,
		logPath: s.logPath(Standby),
	}
	p.databaseURL = func(database string) string {
		both, err := postgres.BothHosts(p.cluster.URL(database), addr)
		if err != nil {
			return p.cluster.URL(database) // it is ours, and is valid
		}
		return both
	}
	return nil
}

// standbys is the stage of the stack that has the standby, if there is one.
func (p *plan) standbys() []*unit {
	if p.standbyUnit == nil {
		return nil
	}
	return []*unit{p.standbyUnit}
}

// startStandby copies the primary, which runs, and starts what follows it.
func (s *Stack) startStandby(ctx context.Context, p *plan) error {
	if p.standby == nil {
		return nil
	}
	s.cfg.Console.Say("copying %s for %s", Postgres, Standby)
	if err := p.standby.Copy(ctx); err != nil {
		return err
	}
	if err := s.startStage(ctx, p.standbys()); err != nil {
		return err
	}
	return p.standby.AwaitStreaming(ctx, s.cfg.Standby == Synchronous)
}
