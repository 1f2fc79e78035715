package outbox

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
)

// database is one database at a glance.
type database struct {
	overview
	State   string    `json:"state"` // of its relay: leading, standby, paused, connecting or unknown
	Since   time.Time `json:"since,omitzero"`
	Problem string    `json:"problem,omitempty"`
	Verdict Verdict   `json:"verdict"`
}

// Verdict says in one sentence how an outbox is.
type Verdict struct {
	Level string `json:"level"` // good, warn or bad
	Text  string `json:"text"`
}

// late is for how long a row may be pending before an operator wants to know.
const late = 5 * time.Second

// judge says the worst there is to say about an outbox.
func judge(o overview, s relaySource, now time.Time) Verdict {
	switch {
	case s.Problem != "":
		return Verdict{"bad", "Nothing is relayed: " + s.Problem}
	case s.BrokerProblem != "" && o.Pending > 0:
		return Verdict{"bad", "Rows wait for the broker: " + s.BrokerProblem}
	case o.Paused && o.Pending > 0:
		return Verdict{"warn", fmt.Sprintf("Paused by an operator; until it is resumed %s", waiting(o.Pending))}
	case o.Paused:
		return Verdict{"warn", "Paused by an operator: nothing is published until it is resumed"}
	case o.Leader == "":
		return Verdict{"bad", "No relay leads this database"}
	case o.Stuck > 0 && o.Parked > 0:
		return Verdict{"bad", fmt.Sprintf("%s stuck; waiting behind: %s", rows(o.Stuck), rows(o.Parked))}
	case o.Stuck > 0:
		return Verdict{"bad", rows(o.Stuck) + " stuck; others go on"}
	case o.Pending > 0 && o.OldestPending != nil && now.Sub(*o.OldestPending) > late:
		return Verdict{"warn", rows(o.Pending) + " pending for longer than they should be"}
	case o.Pending > 0:
		return Verdict{"good", rows(o.Pending) + " on their way"}
	}
	return Verdict{"good", "Everything is published"}
}

func waiting(n int64) string {
	if n == 1 {
		return "1 row waits"
	}
	return rows(n) + " wait"
}

func rows(n int64) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}

// look joins what the databases say with what their relays say.
func look(found overviews, sources []relaySource, now time.Time) []database {
	all := make([]database, 0, len(found.Databases))
	for _, o := range found.Databases {
		s := relaySource{State: "unknown"}
		if i := slices.IndexFunc(sources, func(s relaySource) bool { return s.Database == o.Database }); i >= 0 {
			s = sources[i]
		}
		d := database{overview: o, State: s.State, Since: s.Since, Problem: s.Problem + s.BrokerProblem, Verdict: judge(o, s, now)}
		all = append(all, d)
	}
	return all
}

type overviewPage struct {
	Databases   []database   `json:"databases"`
	Unreachable []string     `json:"unreachable"`
	Groups      []stuckGroup `json:"stuckGroups"`
	Replays     []Replay     `json:"runningReplays"`
}

func (s screen) overview(ctx context.Context, _ *page.Request) (any, error) {
	databases, unreachable, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	p := overviewPage{Databases: databases, Unreachable: unreachable, Groups: []stuckGroup{}, Replays: []Replay{}}
	groups := make([][]stuckGroup, len(databases))
	var asking errgroup.Group
	for i, d := range databases {
		if d.Stuck > 0 {
			asking.Go(func() (err error) { groups[i], err = s.groups(ctx, d.overview); return refused(err) })
		}
	}
	var replays []Replay
	asking.Go(func() (err error) { replays, err = Replays(ctx, s.relay, runningReplays); return refused(err) })
	if err := asking.Wait(); err != nil {
		return nil, err
	}
	p.Groups = append(p.Groups, slices.Concat(groups...)...)
	slices.SortStableFunc(p.Groups, func(a, b stuckGroup) int { return cmp.Compare(b.Rows, a.Rows) })
	for _, r := range replays {
		if r.Running() {
			p.Replays = append(p.Replays, r)
		}
	}
	return p, nil
}

// runningReplays is among how many of the newest replays is looked for those that run.
const runningReplays = 5

// groupingAge is how old the groups may be for each row that is in them.
const groupingAge = 1500 * time.Microsecond

// look asks for both at once: a service that is frozen takes a while to be noticed.
func (s screen) look(ctx context.Context) (all []database, unreachable []string, err error) {
	var found overviews
	var sources struct{ Sources []relaySource }
	var asking errgroup.Group
	asking.Go(func() (err error) { found, err = source.Get[overviews](ctx, s.relay, "/v1/outbox"); return err })
	asking.Go(func() (err error) {
		sources, err = source.Get[struct{ Sources []relaySource }](ctx, s.relay, "/v1/sources")
		return refused(err)
	})
	if err := asking.Wait(); err != nil {
		return nil, nil, err
	}
	return look(found, sources.Sources, time.Now()), found.Unreachable, nil
}

// groups are the stuck rows of a database by cause.
func (s screen) groups(ctx context.Context, o overview) ([]stuckGroup, error) {
	found, err := source.GetWithin[struct{ Groups []stuckGroup }](ctx, s.relay, of(o.Database, "/stuck/groups"), groupedWithin(o))
	for i := range found.Groups {
		found.Groups[i].Database = o.Database
	}
	return found.Groups, err
}

// groupedWithin is how old the groups of an outbox may be. Grouping takes the database 13 µs for
// each row that is stuck or parked, so many are grouped less often: an open page costs it less than
// a hundredth of a processor. After a change from the console they are grouped again at once.
func groupedWithin(o overview) time.Duration {
	return min(time.Minute, max(time.Second, time.Duration(o.Stuck+o.Parked)*groupingAge))
}
