// Package find says what a name, a number or an id means, and where the thing stands: an order, a
// saga, an event, a row of an outbox, a record in Kafka, a key, a dead letter, a trace or a job.
// What can mean several things is answered with all of them.
//
// The orchestrator's own database it reads itself; the others it asks the services about, over
// HTTP. Every lookup is by an index, except for events and traces that nobody has handled yet: for
// those the relay looks through the newest rows of each outbox.
package find

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/jobs"
	"waybill.example/chassis/shell"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/saga/runner/inspect"
)

// Answer is what was found.
type Answer struct {
	Query    string    `json:"query"`
	Meanings []Meaning `json:"meanings" nullable:"false" doc:"What it is; several where it can mean several things"`
	Searched []string  `json:"searched" nullable:"false" doc:"What it was looked for as, and where"`
	// Unreachable are lookups that failed: what they would have found is missing.
	Unreachable []string `json:"unreachable" nullable:"false" doc:"Where it could not be looked for, and why"`
}

// Meaning is one thing that was found.
type Meaning struct {
	Kind string `json:"kind" doc:"order, saga, event, outbox row, record, key, dead letter, trace or job"`
	Name string `json:"name" doc:"What it is called, in a form that find knows"`
	What string `json:"what" doc:"Where it stands, in a sentence"`
	Next string `json:"next,omitempty" doc:"The command that says more, or acts on it"`
}

// Finder looks for things. It is safe for concurrent use.
type Finder struct {
	Sagas *inspect.Inspector
	Jobs  *jobs.Jobs
	// Letters are the orchestrator's own dead letters.
	Letters *deadletter.Store
	// Orders, Inventory and Relay are nil where it is not known where they are.
	Orders, Inventory, Relay *apiclient.Client
	// Records reads records in Kafka; see [explain.Record].
	Records func(context.Context, []explain.Place) (map[explain.Place]explain.Record, error)
}

// timeout is what one lookup may take.
const timeout = 3 * time.Second

// look is one lookup, and what it is called.
type look struct {
	name string
	do   func(ctx context.Context) ([]Meaning, error)
}

// traceparent is what logs and headers have of a trace (W3C Trace Context).
var traceparent = regexp.MustCompile(`^[0-9A-Fa-f]{2}-([0-9A-Fa-f]{32})-[0-9A-Fa-f]{16}-[0-9A-Fa-f]{2}$`)

var place = regexp.MustCompile(`^([A-Za-z0-9._-]{1,249})/(\d{1,9})@(\d{1,18})$`)

// Find looks for everything that q can mean, at once.
func (f *Finder) Find(ctx context.Context, q string) Answer {
	q = strings.TrimSpace(q)
	looks := f.looks(q)
	found, errs := make([][]Meaning, len(looks)), make([]error, len(looks))
	var looking sync.WaitGroup
	for i, l := range looks {
		looking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			found[i], errs[i] = l.do(ctx)
		})
	}
	looking.Wait()
	a := Answer{Query: q, Meanings: []Meaning{}, Searched: []string{}, Unreachable: []string{}}
	for i, l := range looks {
		if errs[i] != nil {
			a.Unreachable = append(a.Unreachable, l.name+": "+words(errs[i]))
			continue
		}
		if !slices.Contains(a.Searched, l.name) {
			a.Searched = append(a.Searched, l.name)
		}
		for _, m := range found[i] {
			a.add(m)
		}
	}
	return a
}

// add adds a meaning. Of two answers about one thing, the one that says more is kept.
func (a *Answer) add(m Meaning) {
	i := slices.IndexFunc(a.Meanings, func(other Meaning) bool { return other.Kind == m.Kind && other.Name == m.Name })
	switch {
	case i < 0:
		a.Meanings = append(a.Meanings, m)
	case len(m.What) > len(a.Meanings[i].What):
		a.Meanings[i] = m
	}
}

// words are what people read of an error: not how a database is reached.
func words(err error) string {
	if refusal, ok := errors.AsType[*apiclient.Refusal](err); ok {
		return refusal.Detail
	}
	if unreachable, ok := errors.AsType[*apiclient.Unreachable](err); ok {
		return unreachable.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer within " + timeout.String()
	}
	return "it could not be asked"
}

// looks are the lookups for everything that q can mean.
func (f *Finder) looks(q string) []look {
	if m := place.FindStringSubmatch(q); m != nil {
		partition, _ := strconv.ParseInt(m[2], 10, 32) // nine digits
		offset, _ := strconv.ParseInt(m[3], 10, 64)    // eighteen
		return []look{{"record in Kafka", func(ctx context.Context) ([]Meaning, error) {
			return f.record(ctx, explain.Place{Topic: m[1], Partition: int32(partition), Offset: offset})
		}}}
	}
	if m := traceparent.FindStringSubmatch(q); m != nil {
		q = m[1]
	}
	if raw, err := hex.DecodeString(q); err == nil && len(raw) == 16 {
		looks := []look{{"trace, among the newest rows of each outbox", func(ctx context.Context) ([]Meaning, error) { return f.recent(ctx, "", strings.ToLower(q)) }}}
		return append(looks, f.byKey(q)...)
	}
	if id, err := uuid.Parse(q); err == nil {
		return append(f.byEvent(id), f.byKey(q)...)
	}
	looks := f.byKey(q)
	if owner, rest, ok := strings.Cut(q, "/"); ok && owner != "" && rest != "" {
		looks = append(looks, f.qualified(owner, rest)...)
	}
	if id, err := strconv.ParseInt(q, 10, 64); err == nil && id > 0 {
		looks = append(looks, f.byNumber(id)...)
	}
	return looks
}

func (f *Finder) byNumber(id int64) []look {
	var looks []look
	if f.Orders != nil {
		looks = append(looks, look{"order", func(ctx context.Context) ([]Meaning, error) { return f.order(ctx, id) }})
	}
	if f.Relay != nil {
		looks = append(looks, look{"outbox row of each database", func(ctx context.Context) ([]Meaning, error) {
			databases, err := f.databases(ctx)
			if err != nil {
				return nil, err
			}
			var all []Meaning
			for _, d := range databases {
				found, err := f.row(ctx, d, id)
				if err != nil {
					return nil, err
				}
				all = append(all, found...)
			}
			return all, nil
		}})
	}
	return append(looks, look{"job of the orchestrator", func(ctx context.Context) ([]Meaning, error) { return f.job(ctx, id) }})
}

// qualified are the lookups for owner/rest: a row of a database, a job or a dead letter of a
// service, a saga of a definition.
func (f *Finder) qualified(owner, rest string) []look {
	looks := []look{{"saga", func(ctx context.Context) ([]Meaning, error) { return f.saga(ctx, owner, rest) }}}
	id, err := strconv.ParseInt(rest, 10, 64)
	if err != nil || id < 1 {
		return looks
	}
	if f.Relay != nil {
		looks = append(looks, look{"outbox row of " + owner, func(ctx context.Context) ([]Meaning, error) { return f.row(ctx, owner, id) }})
	}
	looks = append(looks, f.deadLetter(owner, id)...)
	if owner == explain.OwnDatabase {
		looks = append(looks, look{"job of the orchestrator", func(ctx context.Context) ([]Meaning, error) { return f.job(ctx, id) }})
	}
	if client, ok := f.others()[owner]; ok {
		looks = append(looks, look{"job of " + owner, func(ctx context.Context) ([]Meaning, error) { return jobOf(ctx, owner, client, id) }})
	}
	return looks
}

func (f *Finder) byKey(q string) []look {
	looks := []look{{"saga", func(ctx context.Context) ([]Meaning, error) { return f.saga(ctx, "", q) }}}
	if f.Relay != nil {
		looks = append(looks, look{"key of messages", func(ctx context.Context) ([]Meaning, error) { return f.key(ctx, q) }})
	}
	return append(looks, f.deadLetters(q, nil)...)
}

func (f *Finder) byEvent(id uuid.UUID) []look {
	looks := []look{{"event in the orchestrator's inbox", func(ctx context.Context) ([]Meaning, error) { return f.handledHere(ctx, id) }}}
	if f.Relay != nil {
		looks = append(looks,
			look{"event in the inbox of each database", func(ctx context.Context) ([]Meaning, error) { return f.handled(ctx, id) }},
			look{"event among the newest rows of each outbox", func(ctx context.Context) ([]Meaning, error) { return f.recent(ctx, id.String(), "") }})
	}
	return append(looks, f.deadLetters("", &id)...)
}

// command is a line that can be pasted; "" where a word cannot be.
func command(words ...string) string {
	line, err := shell.Command(words...)
	if err != nil {
		return ""
	}
	return line
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

func known(text, otherwise string) string { return cmp.Or(text, otherwise) }
