package drill

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/contracts"
	"waybill.example/devstack/stack"
	"waybill.example/drills/load"
)

// sharded is about shard 1 of two, which loses its Postgres and then its services, and about a
// third that is added. A router in front of Orders sends a key to the shard that it was sent to
// first.
var sharded = Drill{
	Name: "sharded",
	Promise: "one of two shards loses its Postgres, then its services: no POST to the other fails, and its orders end within 5 s; " +
		"a third is added under load and takes its share; every key leads to one order in one shard",
	For: 24 * time.Second, Within: 30 * time.Second,
	Processes: true, Shards: 2,
	Prepare: func(_ context.Context, s *Environment) error {
		router, err := newRouter([]string{s.addr(stack.Orders), s.addr(stack.Sharded(stack.Orders, 1))})
		if err != nil {
			return err
		}
		s.closers = append(s.closers, router)
		s.balancer, s.urls = router, []string{router.url()}
		return nil
	},
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		before := span{time.Now().Add(-warmUp), time.Now()}
		down, err := s.loseShard(ctx, d/4)
		if err != nil {
			return err
		}
		if err := s.judgeOther(ctx, before, down); err != nil {
			return err
		}
		if err := s.growShard(ctx, d/4); err != nil {
			return err
		}
		return s.judgeShards(ctx)
	},
}

// span is a stretch of time.
type span struct{ from, to time.Time }

func (t span) has(at time.Time) bool { return at.After(t.from) && at.Before(t.to) }

// loseShard takes shard 1's Postgres down for a while, and then its services.
func (s *Environment) loseShard(ctx context.Context, each time.Duration) (span, error) {
	down := span{from: time.Now()}
	end := s.Outage("Postgres of shard 1 killed")
	err := s.bounce(ctx, stack.Sharded(stack.Postgres, 1), each)
	end()
	if err != nil {
		return down, err
	}
	services := []string{stack.Orders, stack.Inventory, stack.Orchestrator}
	end = s.Outage("services of shard 1 killed")
	defer end()
	for _, name := range services {
		if err := s.Act(ctx, stack.Kill, stack.Sharded(name, 1)); err != nil {
			return down, err
		}
	}
	if err := s.Wait(ctx, each); err != nil {
		return down, err
	}
	down.to = time.Now()
	for _, name := range services {
		if err := s.Act(ctx, stack.Start, stack.Sharded(name, 1)); err != nil {
			return down, err
		}
	}
	return down, nil
}

const fatesSQL = `
select count(*), count(*) filter (where status = 'PENDING' and created_at < now() - $3::interval),
       coalesce(extract(epoch from percentile_disc(0.5) within group (order by updated_at - created_at) filter (where status <> 'PENDING')) * 1000, 0)::bigint,
       coalesce(extract(epoch from max(updated_at - created_at) filter (where status <> 'PENDING')) * 1000, 0)::bigint
  from orders where created_at between $1 and $2`

// judgeOther holds that shard 0 went on meanwhile.
func (s *Environment) judgeOther(ctx context.Context, before, down span) error {
	for name, when := range map[string]span{"before": before, "while shard 1 was down": down} {
		var placed, late, middle, longest int64
		row := s.pools[stack.Orders].QueryRow(ctx, fatesSQL, when.from, when.to, besideOthers)
		if err := row.Scan(&placed, &late, &middle, &longest); err != nil {
			return fmt.Errorf("read how orders of shard 0 fared: %w", err)
		}
		s.Measured("%s, shard 0 took %d orders, which ended within %d ms (median) and %d ms (longest)", name, placed, middle, longest)
		if late > 0 || time.Duration(longest)*time.Millisecond > besideOthers {
			s.Failed("%s, an order of shard 0 took %d ms, and %d had not ended after %s", name, longest, late, besideOthers)
		}
	}
	posts, failed, slowest := 0, 0, time.Duration(0)
	for e, err := range load.ReadLedger(s.ledgerPath()) {
		if err != nil {
			return err
		}
		if !e.First() || !down.has(e.Sent) || s.balancer.shardOf(e.Key) != 0 {
			continue
		}
		posts++
		if slowest = max(slowest, e.Latency()); !e.Accepted() {
			failed++
		}
	}
	s.Measured("of %d POSTs to shard 0 meanwhile %d failed; the longest took %s", posts, failed, slowest.Round(time.Millisecond))
	if failed > 0 || posts == 0 {
		s.Failed("%d of %d POSTs to shard 0 failed while shard 1 was down", failed, posts)
	}
	return nil
}

// growShard adds a shard, lets it take orders for a while, and says what it took.
func (s *Environment) growShard(ctx context.Context, d time.Duration) error {
	grown, ok := s.stack.(*stack.Stack)
	if !ok {
		return errors.New("a shard can be added to the devstack only")
	}
	end := s.Fault("a shard is added")
	defer end()
	began := time.Now()
	if err := grown.AddShard(ctx); err != nil {
		return fmt.Errorf("add a shard: %w", err)
	}
	s.Measured("a third shard was added in %s: Postgres, databases, services, and a restart of the relay", time.Since(began).Round(100*time.Millisecond))
	if err := s.openPools(ctx); err != nil {
		return err
	}
	s.balancer.add(s.addr(stack.Sharded(stack.Orders, 2)))
	return s.Wait(ctx, d)
}

// judgeShards holds that each shard has orders of its own ids, that they are shown where the id
// says, and that no request has led to orders in two shards.
func (s *Environment) judgeShards(ctx context.Context) error {
	shardOf := map[string]int64{} // by user: no two requests have the same
	for n := range int64(len(s.balancer.addrs)) {
		shard, err := contracts.ShardNumber(n)
		if err != nil {
			return err
		}
		ids, err := s.placed(ctx, s.pools[stack.Sharded(stack.Orders, int(n))], func(user string) {
			if other, twice := shardOf[user]; twice {
				s.Failed("a request of %s led to orders in shards %d and %d", user, other, n)
			}
			shardOf[user] = n
		})
		if err != nil {
			return err
		}
		first, last := shard.OrderIDs()
		if len(ids) == 0 || slices.Min(ids) < first || slices.Max(ids) > last {
			return fmt.Errorf("shard %d has %d orders, and not all of them are its own", n, len(ids))
		}
		url := s.balancer.url() + "/v1/orders/" + strconv.FormatInt(ids[0], 10)
		if status, answer, err := get(ctx, url); err != nil || status != http.StatusOK {
			s.Failed("GET %s answers %d: %s (%v)", url, status, answer, err)
		}
		seen, err := metric(ctx, s.addr(stack.Sharded(stack.Orchestrator, int(n))), "waybill_inbox_messages_total")
		if err != nil {
			return err
		}
		s.Measured("shard %d has %d orders; its orchestrator saw %.0f messages, those of the others among them", n, len(ids), seen)
	}
	return nil
}

// placed returns the ids of a database's orders, and names their users.
func (s *Environment) placed(ctx context.Context, pool *pgxpool.Pool, each func(user string)) (ids []int64, err error) {
	rows, _ := pool.Query(ctx, `select id, user_id from orders`) //nolint:rowserrcheck // ForEachRow has the error
	var (
		id   int64
		user string
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &user}, func() error {
		ids = append(ids, id)
		each(user)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the orders of a shard: %w", err)
	}
	return ids, nil
}

// openPools opens the databases of the stack that are not open yet.
func (s *Environment) openPools(ctx context.Context) error {
	pools := s.databases()
	for name, url := range s.stack.State().Databases {
		if pools[name] != nil {
			continue
		}
		cfg, err := pgxpool.ParseConfig(url)
		if err != nil {
			return fmt.Errorf("open the database %s: %w", name, err)
		}
		cfg.MaxConns = 2
		if pools[name], err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
			return fmt.Errorf("open the database %s: %w", name, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools = pools
	return nil
}

// databases returns the open databases by their names; for any goroutine.
func (s *Environment) databases() map[string]*pgxpool.Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.pools)
}

// sum adds up what a query counts in the databases of a service, of all shards. It is unknown if it
// is in one of them.
func (s *Environment) sum(ctx context.Context, service, sql string, args ...any) (sum int64) {
	for name, pool := range s.databases() {
		if name != service && !strings.HasPrefix(name, service+"-") {
			continue
		}
		n := s.count(ctx, pool, sql, args...)
		if n == unknown {
			return unknown
		}
		sum += n
	}
	return sum
}
