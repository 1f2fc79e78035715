package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/internal/setup"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/payload"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// Config is what a [Runner] needs. DB, Consumer and Definitions are required.
type Config struct {
	// DB is the database with the sagas, and the pool for messages and deadlines. It needs the
	// migration sets "outbox" and "orchestrator".
	DB *pgxpool.Pool
	// OperatorDB, if set, is the pool for [Runner.Intervene], so that operators, however many of
	// them, cannot keep messages and deadlines from their connections.
	OperatorDB *pgxpool.Pool
	// Consumer is the name under which messages are recorded in the inbox: the consumer group.
	Consumer string
	// Definitions are the sagas to run, each in all the versions that still have sagas.
	Definitions []*saga.Definition
	// Codec translates Kafka messages; nil is [CloudEvents].
	Codec Codec
	// Content, if set, returns what of a message's value must be the same whenever it comes under
	// one id; see [inbox.Processor].
	Content func(inbox.Delivery) []byte
	// Keep, if set, reports whether a message is for the sagas of this database; see
	// [inbox.Processor].
	Keep func(inbox.Delivery) bool
	// Payloads, if set, decodes the payloads of messages before Codec reads them, and encodes those
	// of what the sagas send, after Codec has written them. What a saga keeps, in its data and of
	// messages that wait for it, is in the database as it is.
	Payloads payload.Codec
	// Parking has later messages of a key wait behind a reply of its topic and key that could not
	// be applied, until that is redriven or discarded. Then [Runner.Redriver] has to run.
	Parking bool
	// Local carries out the commands of these types here, in the transaction that sends them.
	Local map[string]Local
	// Ends returns where the partitions of all topics that the runner is given end, now. With it a
	// deadline is acted on only when the replies that had come by then have been read: after an
	// outage no saga is undone while its reply waits to be read. Nil: deadlines do not wait for
	// that, and a reply that was late is compensated.
	Ends func(context.Context) (map[inbox.Partition]inbox.Span, error)
	// DeadlineRate bounds how many deadlines are acted on per second, so that those which passed
	// during an outage are not all acted on at once; 0 is 500.
	DeadlineRate int
	// Retention is how long a saga is kept after it ended; 0 is 30 days, negative is forever. It
	// must be longer than the time within which it can be cancelled.
	Retention time.Duration
	// Now, if set, replaces the database's clock. It is for tests that move the time.
	Now func() time.Time
	// Audit, if set, is given each change of an operator in the transaction that makes it, after
	// everything else in it: for a log of its own. An error takes the change back.
	Audit func(ctx context.Context, tx pgx.Tx, act Act) error
	// Observer is notified of what happens, for metrics.
	Observer Observer
	// Log is where problems are logged; nil is nowhere.
	Log *slog.Logger
}

// Observer is notified of what happens. Each function may be nil, is called after the commit of
// what it is about, and must not block.
type Observer struct {
	// Transition is called for each transition, with the state of the saga after it.
	Transition func(saga.State, saga.Transition)
	// Rejected is called with the reason for each message that can never be applied.
	Rejected func(error)
	// Unknown is called for each message for a saga that does not exist.
	Unknown func(saga.Message)
	// Messages is called with what became of each batch.
	Messages func(inbox.Outcome)
	// Open is called every ten seconds with the sagas that have not ended, by state.
	Open func([]store.OpenStats)
	// Lag is called with how far reading is behind while deadlines have passed, and with 0 while
	// none has: for how long not all replies that came have been read.
	Lag func(time.Duration)
}

// Runner runs sagas. It is safe for concurrent use, and several processes may run the same sagas on
// the same database.
type Runner struct {
	store     *store.Store
	registry  *saga.Registry
	codec     Codec
	local     map[string]Local
	operators *pgxpool.Pool
	inbox     inbox.Processor[saga.Message, store.Loaded]
	audit     func(context.Context, pgx.Tx, Act) error
	observer  Observer
	watermark *watermark // nil: deadlines do not wait
	deadlines *rest      // until the next deadline
	rate      int
	retention time.Duration
	log       *slog.Logger
}

// New returns a runner. It remembers the versions of its definitions in the database, and fails
// with [store.ErrDefinitionChanged] if one of them is not what it was when it was first run.
func New(ctx context.Context, c Config) (*Runner, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("saga runner: %w", err)
	}
	registry, err := saga.NewRegistry(c.Definitions...)
	if err != nil {
		return nil, fmt.Errorf("saga runner: %w", err)
	}
	c = c.withDefaults()
	r := &Runner{
		store: store.New(c.DB, registry), registry: registry, codec: c.Codec, local: c.Local, operators: c.OperatorDB,
		audit: c.Audit, observer: c.Observer, rate: c.DeadlineRate, deadlines: newRest(), retention: c.Retention, log: c.Log,
	}
	r.store.Clock = c.Now
	r.inbox = inbox.Processor[saga.Message, store.Loaded]{
		Consumer: c.Consumer, DB: c.DB, Positions: inbox.NewPositions(c.DB, c.Consumer), Health: &inbox.Health{},
		Keep: c.Keep, Payloads: c.Payloads, Decode: r.decode, Content: c.Content, Load: r.load, Apply: r.applyMessages, Observe: c.Observer.Messages, Log: c.Log,
	}
	if c.Parking {
		r.inbox.Parking = &inbox.Parking{Behind: r.isReply}
	}
	if c.Ends != nil {
		r.watermark = &watermark{ends: c.Ends, positions: r.positions, now: r.store.Now, log: c.Log}
	}
	if err := r.store.CheckDefinitions(ctx); err != nil {
		return nil, fmt.Errorf("saga runner: %w", setup.Explain(err))
	}
	if err := r.followSuspensions(ctx); err != nil {
		return nil, fmt.Errorf("saga runner: %w", setup.Explain(err))
	}
	return r, nil
}

func (c Config) withDefaults() Config {
	if c.OperatorDB == nil {
		c.OperatorDB = c.DB
	}
	if c.Codec == nil {
		c.Codec = CloudEvents{}
	}
	if c.DeadlineRate == 0 {
		c.DeadlineRate = 500
	}
	if c.Retention == 0 {
		c.Retention = 30 * 24 * time.Hour
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// check returns everything that is wrong with the configuration at once.
func (c Config) check() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.DB == nil {
		problem("needs a DB")
	}
	if c.Consumer == "" {
		problem("needs the name of its Consumer")
	}
	if len(c.Definitions) == 0 {
		problem("needs Definitions")
	}
	if c.DeadlineRate < 0 {
		problem("a DeadlineRate of %d: it must be positive", c.DeadlineRate)
	}
	problems = append(problems, c.checkCommands()...)
	return errors.Join(problems...)
}

// checkCommands returns what is wrong with where commands go.
func (c Config) checkCommands() (problems []error) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	sent := map[string]bool{}
	for _, d := range c.Definitions {
		if d == nil {
			problem("a definition is nil: look at the error of its Build")
			continue
		}
		topics := d.Topics()
		for _, command := range slices.Sorted(maps.Keys(topics)) {
			sent[command] = true
			switch {
			case c.Local[command] != nil:
			case topics[command] == "":
				problem("saga definition %q version %d: no topic for %s: name one with To, or carry it out with Local", d.Name(), d.Version(), command)
			default:
				// What the outbox refuses of every command is better known now.
				if err := outbox.Queue(&pgx.Batch{}, outbox.Message{Topic: topics[command], Type: command}); err != nil {
					problem("saga definition %q version %d: %s could never be sent: %w", d.Name(), d.Version(), command, err)
				}
			}
		}
	}
	for _, command := range slices.Sorted(maps.Keys(c.Local)) {
		switch {
		case !sent[command]:
			problem("Local carries out %s, which no definition sends", command)
		case c.Local[command] == nil:
			problem("Local has no function for %s", command)
		}
	}
	return problems
}

// Registry holds the definitions that are run.
func (r *Runner) Registry() *saga.Registry { return r.registry }

// Positions is how far the consumer has read: what a Kafka client that is assigned a partition
// compares with its committed offset, to read from the earlier of the two.
func (r *Runner) Positions() *inbox.Positions { return r.inbox.Positions }

// Redriver returns what works off the queues of the runner's dead letters; see
// [inbox.Processor.Redriver] for what permanent says.
func (r *Runner) Redriver(permanent func(error) bool) *inbox.Redriver {
	return r.inbox.Redriver(permanent)
}

// isReply says whether a message is one that later messages of its key wait for: a reply, or what
// may be one, as it cannot be read. A message that starts a saga, and an event, are not: the saga
// of their key may be another one, and goes on.
func (r *Runner) isReply(d inbox.Delivery) bool {
	m, err := r.codec.Decode(d)
	return err != nil || m.CausationID != uuid.Nil
}

// Health says whether messages had to be dropped.
func (r *Runner) Health() *inbox.Health { return r.inbox.Health }

// Now is the time by the database's clock, as far as it is known: deadlines that several processes
// set and act on follow one clock.
func (r *Runner) Now() time.Time { return r.store.Now() }
