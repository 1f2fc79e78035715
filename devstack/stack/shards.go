package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"waybill.example/contracts"
	"waybill.example/devstack/loopback"
	"waybill.example/devstack/postgres"
)

// Sharded names a process or a database of a shard. Those of shard 0 have the plain names.
func Sharded(name string, shard int) string {
	if shard == 0 {
		return name
	}
	return name + "-" + strconv.Itoa(shard)
}

// unsharded is the plain name of a process.
func unsharded(name string) string {
	plain, number, _ := strings.Cut(name, "-")
	if _, err := strconv.Atoi(number); err != nil {
		return name
	}
	return plain
}

// shardServices are the services of which each shard has its own. The relay is everybody's.
var shardServices = []string{Orders, Inventory, Orchestrator}

// DatabasesOf returns the databases of a shard, by the plain names.
func (s State) DatabasesOf(shard contracts.Shard) map[string]string {
	n, _ := strconv.Atoi(shard.String()) // nothing stands for a stack without shards
	databases := map[string]string{}
	for _, name := range databaseNames {
		if url, ok := s.Databases[Sharded(name, n)]; ok {
			databases[name] = url
		}
	}
	return databases
}

// AddShard adds the next shard to a running stack that has shards: a Postgres server with three
// databases (three databases more on a server that is not ours), and their services, on free ports.
// Then it restarts the relay, which relays those databases, too. One shard is added at a time.
func (s *Stack) AddShard(ctx context.Context) error {
	n := s.shards
	p, err := s.planShard(ctx, n)
	if err != nil {
		return fmt.Errorf("plan shard %d: %w", n, err)
	}
	s.cfg.Console.Say("adding shard %d", n)
	s.add(p, n)
	if err := s.startStage(ctx, p.servers); err != nil {
		return err
	}
	if err := p.prepareServers(ctx, s.cfg.Console); err != nil {
		return err
	}
	if err := p.ownOrderIDs(ctx, n); err != nil {
		return err
	}
	if err := s.startStage(ctx, p.services); err != nil {
		return err
	}
	if err := seedStock(ctx, p.inventoryAddr, s.State().TokenFor(Inventory)); err != nil {
		return err
	}
	s.sources = append(s.sources, p.sources(n)...)
	return s.restartRelay(ctx)
}

// restartRelay has the relay relay all databases that there are by now.
func (s *Stack) restartRelay(ctx context.Context) error {
	for _, u := range s.units() {
		if u.name != Relay {
			continue
		}
		if err := u.stop(ctx); err != nil {
			return err
		}
		u.command.Env = append(u.command.Env, relayDatabases(s.sources)) // of several the last counts
		return u.start(ctx, true, s.save)
	}
	return errors.New("the stack has no relay")
}

// add makes what is planned a part of the stack.
func (s *Stack) add(p *plan, shard int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.stages) - 1
	s.stages[0] = append(s.stages[0], p.servers...)
	s.stages[last] = append(s.stages[last], p.services...)
	for name, url := range p.databases {
		s.databases[Sharded(name, shard)] = url
	}
	s.shards = shard + 1
}

// planShard plans a shard beside what runs: the same broker and relay, and everything else its own.
func (s *Stack) planShard(ctx context.Context, n int) (*plan, error) {
	ports, err := choosePorts(true, append([]string{Postgres, inventoryGRPC}, shardServices...))
	if err != nil {
		return nil, err
	}
	p := *s.base
	p.ordersAddr, p.inventoryAddr = loopback.Addr(ports[Orders]), loopback.Addr(ports[Inventory])
	p.grpcAddr = loopback.Addr(ports[inventoryGRPC])
	p.servers, p.services, p.databases = nil, nil, map[string]string{}
	if p.external {
		p.prefix += fmt.Sprintf("shard%d_", n)
	} else {
		server, err := s.shardServer(ctx, n, ports[Postgres], &p)
		if err != nil {
			return nil, err
		}
		p.servers = []*unit{server}
	}
	for _, name := range databaseNames {
		p.databases[name] = p.databaseURL(p.prefix + name)
	}
	for _, name := range shardServices {
		u := s.service(s.bin, name, loopback.Addr(ports[name]), &p)
		u.name = Sharded(name, n)
		u.logPath = s.logPath(u.name)
		u.command.Env = append(u.command.Env, orderShard(n))
		p.services = append(p.services, u)
	}
	return &p, nil
}

func (s *Stack) shardServer(ctx context.Context, n, port int, p *plan) (*unit, error) {
	name := Sharded(Postgres, n)
	cluster, err := postgres.Prepare(ctx, postgres.Config{Dir: filepath.Join(s.cfg.Dir, name), Port: port, Progress: s.cfg.Console})
	if err != nil {
		return nil, err
	}
	p.databaseURL = cluster.URL
	return &unit{name: name, addr: loopback.Addr(port), command: cluster.Command(), ready: cluster.Ping, logPath: s.logPath(name)}, nil
}

// shardServers are the servers of shards that have run once.
func shardServers(dir string) (names []string, err error) {
	for n := 1; ; n++ {
		name := Sharded(Postgres, n)
		home, err := postgres.Home(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(home); err != nil {
			return names, nil //nolint:nilerr // there is none
		}
		names = append(names, name)
	}
}

func orderShard(n int) string { return fmt.Sprintf("ORDER_SHARD=%d", n) }

// sources are the shard's databases as the relay is to know them.
func (p *plan) sources(shard int) (sources []string) {
	for _, database := range databaseNames {
		sources = append(sources, Sharded(database, shard)+"="+p.login(database, asRelay))
	}
	return sources
}

func relayDatabases(sources []string) string { return "RELAY_DATABASES=" + strings.Join(sources, ",") }

// ownOrderIDs has Orders allocate the ids of a shard, from its first or from where it was.
func (p *plan) ownOrderIDs(ctx context.Context, n int) error {
	shard, err := contracts.ShardNumber(int64(n))
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, p.databases[Orders])
	if err != nil {
		return fmt.Errorf("allocate the order ids of shard %d: %w", n, err)
	}
	defer conn.Close(ctx)
	var end int64
	if err := conn.QueryRow(ctx, `select seqmax from pg_sequence where seqrelid = 'orders_id_seq'::regclass`).Scan(&end); err != nil {
		return fmt.Errorf("allocate the order ids of shard %d: %w", n, err)
	}
	first, last := shard.OrderIDs()
	sql := fmt.Sprintf(`alter sequence orders_id_seq maxvalue %d`, last)
	switch {
	case end == last:
		return nil
	case n > 0:
		sql = fmt.Sprintf(`alter sequence orders_id_seq minvalue %d maxvalue %d start %d restart`, first, last, first)
	}
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("allocate the order ids of shard %d: %w", n, err)
	}
	return nil
}

// beginShards makes a stack one of shards, if it is to be one, before its services start: those
// that are planned are shard 0's.
func (s *Stack) beginShards(ctx context.Context, p *plan) error {
	if s.cfg.Shards == 0 {
		return nil
	}
	s.base, s.shards, s.sources = p, 1, p.sources(0)
	for _, u := range p.services {
		if u.name != Relay {
			u.command.Env = append(u.command.Env, orderShard(0))
		}
	}
	return p.ownOrderIDs(ctx, 0)
}
