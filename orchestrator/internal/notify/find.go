package notify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/shell"
	"waybill.example/contracts"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/saga"
)

// Sources are who is asked what needs a person.
type Sources struct {
	DB *pgxpool.Pool
	// Explain says where one saga stands, in the words and with the commands that operators know.
	Explain func(ctx context.Context, ref saga.Ref, now time.Time) (explain.Report, error)
	// Relay is asked for stuck rows and for databases that are not relayed; nil: it is not.
	Relay *apiclient.Client
	// Shard is whose databases of the relay's are reported.
	Shard contracts.Shard
	// Services are asked whether anything is wrong with them, each by a function that returns it,
	// and an error if it did not answer.
	Services map[string]func(context.Context) (problem string, err error)
	// Letters are the dead letters of the orchestrator itself, and Consumers are asked for theirs,
	// each by the name that operators know it by.
	Letters   *deadletter.Store
	Consumers map[string]*apiclient.Client
}

// OwnName is the orchestrator among the services.
const OwnName = "orchestrator"

// findTimeout bounds one look at everything, and askTimeout what another process may take of it:
// all wait for the slowest.
const (
	findTimeout = 10 * time.Second
	askTimeout  = 2 * time.Second
)

// Find is a [Finder].
func (s *Sources) Find(ctx context.Context) (all []Condition, asked []string) {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	var (
		mu     sync.Mutex
		asking sync.WaitGroup
	)
	ask := func(within time.Duration, source string, find func(context.Context) ([]Condition, error)) {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, within)
			defer cancel()
			found, err := find(ctx)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				asked = append(asked, source)
			}
			for _, c := range found {
				c.Source = source
				all = append(all, c)
			}
		})
	}
	ask(findTimeout, "sagas", s.sagas)
	if s.Relay != nil {
		ask(askTimeout, "outboxes", s.outboxes)
		ask(askTimeout, "sources", s.relayed)
	}
	for name, problem := range s.Services {
		ask(askTimeout, "service "+name, func(ctx context.Context) ([]Condition, error) { return unwell(ctx, name, problem), nil })
	}
	ask(askTimeout, "dead letters of "+OwnName, s.ownDeadLetters)
	for name, client := range s.Consumers {
		ask(askTimeout, "dead letters of "+name, func(ctx context.Context) ([]Condition, error) { return deadLetters(ctx, name, client) })
	}
	asking.Wait()
	return all, asked
}

// Sagas that need an operator come from sagas_in_trouble, which is empty while none does, and those
// that are overdue from the front of sagas_open.
const sagasSQL = `
select 'in trouble', definition || '@' || version, state, step, count(*), (array_agg(id order by updated_at))[1]
  from sagas where trouble is not null group by 2, 3, 4
union all
select 'overdue', definition || '@' || version, state, step, count(*), (array_agg(id order by deadline))[1]
  from sagas where wake_at < now() and deadline < now() - interval '1 minute' and trouble is null group by 2, 3, 4`

func (s *Sources) sagas(ctx context.Context) ([]Condition, error) {
	type group struct {
		Kind, Definition, State, Step string
		Count                         int64
		Example                       string
	}
	rows, _ := s.DB.Query(ctx, sagasSQL)
	groups, err := pgx.CollectRows(rows, pgx.RowToStructByPos[group])
	if err != nil {
		return nil, fmt.Errorf("find sagas that need a person: %w", err)
	}
	var found []Condition
	for _, g := range groups {
		c := Condition{
			Key:     strings.Join([]string{"sagas", g.Kind, g.Definition, g.State, g.Step}, "/"),
			Subject: plural(g.Count, "saga") + " of " + g.Definition + " in " + g.State, Count: g.Count, Urgent: g.Kind == "in trouble",
		}
		if g.Step != "" {
			c.Subject += " at " + g.Step
		}
		if g.Kind == "overdue" {
			c.Subject += ", overdue"
		}
		name, _, _ := strings.Cut(g.Definition, "@") // and its version
		c.Detail = s.example(ctx, c.Subject, saga.Ref{Definition: name, ID: g.Example})
		found = append(found, c)
	}
	return found, nil
}

// example explains the saga that has waited longest.
func (s *Sources) example(ctx context.Context, subject string, ref saga.Ref) Detail {
	d := Detail{Summary: subject + ".", Example: ref.ID}
	d.advise("waybill", "explain", "--", ref.ID)
	report, err := s.Explain(ctx, ref, time.Now())
	if err != nil {
		return d
	}
	d.Summary = fmt.Sprintf("%s. The one that has waited longest is %s: %s", subject, ref.ID, report.Summary)
	d.Obstacles = report.Obstacles
	d.Commands = append(d.Commands, report.Advice...)
	return d
}

func (s *Sources) outboxes(ctx context.Context) ([]Condition, error) {
	var answer struct {
		Databases []struct {
			Database      string
			Stuck, Parked int64
		}
	}
	if err := s.Relay.Get(ctx, "/v1/outbox", &answer); err != nil {
		return nil, err
	}
	var found []Condition
	for _, d := range answer.Databases {
		if _, ours := s.Shard.Plain(d.Database); d.Stuck == 0 || !ours {
			continue
		}
		c := Condition{
			Key: "outbox/" + d.Database, Count: d.Stuck, Urgent: true,
			Subject: plural(d.Stuck, "outbox row") + " of " + d.Database + " stuck",
		}
		c.Detail = s.stuckRow(ctx, d.Database, fmt.Sprintf("%s, and %d wait behind.", c.Subject, d.Parked))
		found = append(found, c)
	}
	return found, nil
}

// stuckRow says why the first one is.
func (s *Sources) stuckRow(ctx context.Context, database, summary string) Detail {
	d := Detail{Summary: summary}
	d.advise("outbox-relay", "stuck", "list", "--database="+database)
	var page struct {
		Items []struct {
			ID           int64
			Topic, Error string
		}
	}
	if s.Relay.Get(ctx, "/v1/outbox/"+url.PathEscape(database)+"/stuck?limit=1", &page) != nil || len(page.Items) == 0 {
		return d
	}
	first := page.Items[0]
	id := strconv.FormatInt(first.ID, 10)
	d.Example = id
	d.Summary += fmt.Sprintf(" The first is row %s for topic %s: %s", id, first.Topic, first.Error)
	d.advise("outbox-relay", "stuck", "show", "--database="+database, id)
	d.advise("outbox-relay", "stuck", "retry", "--database="+database, id)
	return d
}

// relayed finds databases of which nothing is published, and a relay that is unavailable.
func (s *Sources) relayed(ctx context.Context) ([]Condition, error) {
	var answer struct {
		Sources []struct{ Database, Problem, BrokerProblem string }
	}
	if err := s.Relay.Get(ctx, "/v1/sources", &answer); err != nil {
		c := Condition{Key: "relay", Subject: "the relay does not answer", Count: 1}
		c.Detail = Detail{Summary: "The relay does not answer, so it is not known whether messages leave: " + err.Error()}
		return []Condition{c}, nil //nolint:nilerr // it is the condition
	}
	var found []Condition
	for _, d := range answer.Sources {
		problem := d.Problem
		if problem == "" {
			problem = d.BrokerProblem
		}
		if _, ours := s.Shard.Plain(d.Database); problem == "" || !ours {
			continue
		}
		c := Condition{Key: "source/" + d.Database, Subject: "the outbox of " + d.Database + " is not relayed", Count: 1}
		c.Detail.Summary = fmt.Sprintf("Messages of %s wait in its outbox: %s", d.Database, problem)
		c.Detail.advise("outbox-relay", "status", "--database="+d.Database)
		found = append(found, c)
	}
	return found, nil
}

// unwell finds a service that is not ready, or does not answer.
func unwell(ctx context.Context, name string, ask func(context.Context) (string, error)) []Condition {
	problem, err := ask(ctx)
	if err != nil {
		problem = err.Error()
	}
	if problem == "" {
		return nil
	}
	return []Condition{{
		Key: "service/" + name, Subject: name + " is not ready", Count: 1,
		Detail: Detail{Summary: fmt.Sprintf("%s is not ready: %s", name, problem)},
	}}
}

// deadLetters finds messages that a service could not apply, by cause. That it does not say is a
// condition of its own.
func deadLetters(ctx context.Context, service string, client *apiclient.Client) ([]Condition, error) {
	var answer struct{ Groups []deadletter.Group }
	err := client.Get(ctx, "/v1/dead-letters/groups", &answer)
	if refusal, ok := errors.AsType[*apiclient.Refusal](err); ok {
		c := Condition{Key: "dead letters/" + service, Subject: "the dead letters of " + service + " cannot be read", Count: 1}
		c.Detail.Summary = fmt.Sprintf("It is not known whether %s has dead letters: %s", service, refusal.Detail)
		return []Condition{c}, nil
	}
	return unapplied(service, answer.Groups), err
}

func (s *Sources) ownDeadLetters(ctx context.Context) ([]Condition, error) {
	groups, err := s.Letters.Groups(ctx, deadletter.Filter{}, 100)
	return unapplied(OwnName, groups), err
}

func unapplied(service string, groups []deadletter.Group) (found []Condition) {
	for _, g := range groups {
		c := Condition{
			Key: strings.Join([]string{"dead letters", service, g.Topic, g.Type, g.Cause}, "/"), Count: g.Count, Urgent: true,
			Subject: plural(g.Count, "dead letter") + " of " + service + ": " + g.Type,
		}
		c.Detail.Example = strconv.FormatInt(g.Example, 10)
		c.Detail.Summary = fmt.Sprintf("%s could not apply %s of type %s on %s, and %d later ones of the same keys wait: %s",
			service, plural(g.Count, "message"), g.Type, g.Topic, g.Waiting, g.Cause)
		c.Detail.advise("waybill", "dlq", "show", "--service="+service, c.Detail.Example)
		c.Detail.advise("waybill", "dlq", "redrive", "--service="+service, "--all", "--dry-run", "--cause="+g.Cause, "--reason=the cause is gone")
		found = append(found, c)
	}
	return found
}

// advise adds a command. Names that no shell could be given safely have none.
func (d *Detail) advise(words ...string) {
	if command, err := shell.Command(words...); err == nil {
		d.Commands = append(d.Commands, command)
	}
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
