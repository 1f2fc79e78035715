package audit

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"waybill.example/contracts"
	"waybill.example/drills/load"
)

// defaultRecent is for [Config.Recent].
const defaultRecent = time.Minute

// Config says what to audit.
type Config struct {
	// Databases are the URLs of "orders", "inventory" and "orchestrator".
	Databases map[string]string
	Brokers   []string
	// Ledger is the file of the client's own record; "" leaves the check Accepted out.
	Ledger string
	Limits Limits
	// Shard is whose databases they are, where the services are sharded: what other shards own, of
	// the topics and of the ledger, is left out.
	Shard contracts.Shard
	// Recent is how long rows are read again: one of a transaction that commits later than this
	// after it drew its id is seen by a first pass only. 0 stands for a minute.
	Recent time.Duration
	// Expected reports whether a dead letter, by its key and the topic it is a dead letter of, is
	// no cause for alarm. Nil expects none.
	Expected func(key, topic string) bool
	// Foreign reports whether a message that comes from no outbox row is no cause for alarm: a
	// drill has put it there. Nil expects none.
	Foreign func(id uuid.UUID, key string) bool
	// Restored are the databases that were taken back to an earlier moment.
	Restored []Restored
	// Gone are orders that are no longer there, though their clients were answered, and no cause
	// for alarm: their database went back, and no message reports them.
	Gone map[int64]bool
	// Unordered names, by database, the outbox id up to which order is not looked at: rows that
	// were sent again because the topics were lost stand where the replay put them.
	Unordered map[string]int64
}

func (c Config) recent() time.Duration { return cmp.Or(c.Recent, defaultRecent) }

// Auditor audits in passes. It is for one goroutine.
type Auditor struct {
	cfg       Config
	databases databases
	topics    *topics

	results    *results
	deliveries *deliveries
	claims     claims
	asked      *requests
	read       int64 // lines of the ledger

	lastOrder int64
	open      map[int64]bool   // orders that are not done with
	missing   map[int64]bool   // orders that have a saga, and are not there
	sagasRead time.Time        // until when sagas have been looked through for those
	scanned   map[string]int64 // outbox ids that need not be read again
	seen      map[string][]sighting
	observed  []message // read from the topics, and not yet compared
}

// New connects to what is to be audited. Close it.
func New(ctx context.Context, cfg Config) (*Auditor, error) {
	dbs, err := openDatabases(ctx, cfg.Databases)
	if err != nil {
		return nil, err
	}
	if err := dbs.ping(ctx); err != nil {
		dbs.close()
		return nil, err
	}
	ts, err := openTopics(cfg.Brokers)
	if err != nil {
		dbs.close()
		return nil, err
	}
	return &Auditor{
		cfg: cfg, databases: dbs, topics: ts,
		results: newResults(cfg.Shard), deliveries: newDeliveries(cfg.Unordered), claims: claims{}, asked: newRequests(cfg.keysLost()),
		open: map[int64]bool{}, missing: map[int64]bool{}, scanned: map[string]int64{}, seen: map[string][]sighting{},
	}, nil
}

// Close ends the connections.
func (a *Auditor) Close() {
	a.topics.close()
	a.databases.close()
}

// Pass looks at everything that is new since the last pass, and at what was open. An error means
// that something could not be read; the next pass takes up where this one began.
func (a *Auditor) Pass(ctx context.Context) (Report, error) {
	began := time.Now()
	a.results.begin()
	if err := a.readLedger(); err != nil {
		return Report{}, err
	}
	created, err := a.readMail(ctx, began)
	if err != nil {
		return Report{}, err
	}
	if err := a.readHandled(ctx); err != nil {
		return Report{}, err
	}
	if err := a.readOrders(ctx, created); err != nil {
		return Report{}, err
	}
	if err := a.readStock(ctx); err != nil {
		return Report{}, err
	}
	if err := a.readTrouble(ctx); err != nil {
		return Report{}, err
	}
	open := len(a.open) + a.deliveries.missing(began, a.topics.since, a.cfg.Limits, a.results) + a.deliveries.unhandled(began, a.cfg.Limits, a.results)
	return Report{At: began, Took: time.Since(began), Checks: a.results.list(), Open: open, Gone: a.results.gone}, nil
}

// Forget drops what is done with, so that an audit that goes on and on does not grow.
func (a *Auditor) Forget() { a.deliveries.forget(a.scanned) }

func (a *Auditor) readLedger() error {
	if a.cfg.Ledger == "" {
		return nil
	}
	var line int64
	for e, err := range load.ReadLedger(a.cfg.Ledger) {
		if err != nil {
			return err
		}
		if line++; line > a.read {
			a.read = line
			if e.OrderID != 0 && !a.cfg.Shard.Owns(strconv.AppendInt(nil, e.OrderID, 10)) {
				continue
			}
			a.asked.add(e, a.claims, a.results)
		}
	}
	return nil
}

func (a *Auditor) readStock(ctx context.Context) error {
	stockLevels, err := a.databases.stockLevels(ctx)
	if err != nil {
		return err
	}
	a.results.stockLevels(stockLevels)
	return nil
}

func (a *Auditor) readTrouble(ctx context.Context) error {
	for _, name := range names {
		stuck, err := a.databases.stuck(ctx, name)
		if err != nil {
			return err
		}
		a.results.stuck(name, stuck)
	}
	sagas, err := a.databases.unhealthySagas(ctx)
	if err != nil {
		return err
	}
	a.results.unhealthySagas(sagas)
	a.results.deadLetters(a.deliveries, a.cfg)
	return nil
}
