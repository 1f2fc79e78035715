package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"waybill/contracts"
	"waybill/drills/load"
)

// recent is how long rows are read again: one of a transaction that commits later than this after it
// drew its id is seen by a first pass only.
const recent = time.Minute

// Config says what to audit.
type Config struct {
	// Databases are the URLs of "orders", "inventory" and "orchestrator".
	Databases map[string]string
	Brokers   []string
	// Ledger is the file of the client's own record; "" leaves the check Accepted out.
	Ledger string
	Limits Limits
	// Expected reports whether a dead letter, by its key and the topic it is a dead letter of, is
	// no cause for alarm. Nil expects none.
	Expected func(key, topic string) bool
	// Foreign reports whether a message that comes from no outbox row is no cause for alarm: a drill
	// has put it there. Nil expects none.
	Foreign func(id uuid.UUID, key string) bool
	// Unordered names, by database, the outbox id up to which order is not looked at: rows that were
	// sent again because the topics were lost stand where the replay put them.
	Unordered map[string]int64
}

// Auditor audits in passes. It is for one goroutine.
type Auditor struct {
	cfg       Config
	databases databases
	topics    *topics

	results *results
	mail    *mail
	claims  claims
	seen    map[int64]int64 // request by order id
	read    int64           // lines of the ledger

	lastOrder int64
	open      map[int64]bool   // orders that are not done with
	scanned   map[string]int64 // outbox ids that need not be read again
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
		results: newResults(), mail: newMail(cfg.Unordered), claims: claims{}, seen: map[int64]int64{},
		open: map[int64]bool{}, scanned: map[string]int64{},
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
	created, err := a.readMail(ctx)
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
	open := len(a.open) + a.mail.missing(a.cfg.Limits, a.results) + a.mail.unhandled(time.Now(), a.cfg.Limits, a.results)
	return Report{At: began, Took: time.Since(began), Checks: a.results.list(), Open: open}, nil
}

// Forget drops what is done with, so that an audit that goes on and on does not grow.
func (a *Auditor) Forget() { a.mail.forget() }

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
			a.claims.add(e, a.seen, a.results)
		}
	}
	return nil
}

// readMail reads in the order that makes the comparison sound: what the relay counts as published
// before the topics were read must be on them; and a message that is on them has had its row
// committed before the rows are read. It returns the orders that an OrderCreated tells of.
func (a *Auditor) readMail(ctx context.Context) (created []int64, err error) {
	published := map[string]map[int64]bool{}
	for _, name := range names {
		if published[name], err = a.databases.published(ctx, name, a.scanned[name]); err != nil {
			return nil, err
		}
	}
	messages, wiped, err := a.topics.read(ctx)
	if err != nil {
		return nil, err
	}
	if wiped {
		clear(a.mail.last)
	}
	rows := map[string][]row{}
	for _, name := range names {
		if rows[name], err = a.databases.rows(ctx, name, a.scanned[name], published[name]); err != nil {
			return nil, err
		}
		created = append(created, orderIDs(a.mail.post(rows[name], a.results))...)
	}
	unknown := a.mail.arrive(messages, a.results)
	for _, name := range names {
		a.advance(name, rows[name])
	}
	return created, a.identify(ctx, unknown)
}

// advance leaves rows behind that need not be read again: the oldest ones, up to the first that is
// still waited for.
func (a *Auditor) advance(name string, rows []row) {
	for _, w := range rows {
		if w.Age < recent || a.mail.isOpen(w) {
			return
		}
		a.scanned[name] = w.ID
	}
}

// orderIDs returns the orders that an OrderCreated tells of.
func orderIDs(rows []row) (ids []int64) {
	for _, w := range rows {
		if w.Type == string(contracts.TypeOrderCreated) && w.Topic == contracts.TopicOrders {
			if id, err := strconv.ParseInt(w.Key, 10, 64); err == nil {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// identify finds out where messages come from that no remembered row has sent.
func (a *Auditor) identify(ctx context.Context, messages []message) error {
	if len(messages) == 0 {
		return nil
	}
	keys, ids := make([]string, len(messages)), make([]uuid.UUID, len(messages))
	for i, m := range messages {
		keys[i], ids[i] = m.Key, m.EventID
	}
	known := map[uuid.UUID]bool{}
	for _, name := range names {
		rows, err := a.databases.rowsByKey(ctx, name, keys, ids)
		if err != nil {
			return err
		}
		for _, w := range rows {
			known[w.EventID] = true
		}
	}
	for _, m := range messages {
		if known[m.EventID] || a.cfg.Foreign != nil && a.cfg.Foreign(m.EventID, m.Key) {
			continue
		}
		a.results.keep(Origin, m.subject(), repairShowMessage(m), "event %s, key %q: no outbox has such a row", m.EventID, m.Key)
	}
	return nil
}

// inboxBatch bounds the ids of one question to an inbox.
const inboxBatch = 5000

func (a *Auditor) readHandled(ctx context.Context) error {
	for topic, c := range consumers {
		var waiting []uuid.UUID
		for _, l := range a.mail.letters {
			if _, expected := l.handledBy(); expected && l.Topic == topic && l.delivered && !l.handled {
				waiting = append(waiting, l.EventID)
			}
		}
		for ids := range slices.Chunk(waiting, inboxBatch) {
			handled, err := a.databases.handled(ctx, c, ids)
			if err != nil {
				return err
			}
			for _, id := range handled {
				a.mail.letters[address{id, topic}].handled = true
			}
		}
	}
	return nil
}

// readOrders reads the orders last, so that nothing which refers to one can have come before it.
func (a *Auditor) readOrders(ctx context.Context, created []int64) error {
	began := time.Now()
	ids := slices.Concat(slices.Collect(maps.Keys(a.open)), slices.Collect(maps.Keys(a.claims)), created)
	reservations, err := a.databases.reservations(ctx, a.lastOrder, ids)
	if err != nil {
		return err
	}
	for _, r := range reservations {
		ids = append(ids, r.OrderID)
	}
	orders, err := a.databases.orders(ctx, a.lastOrder, ids)
	if err != nil {
		return err
	}
	sagas, err := a.databases.sagas(ctx, slices.Collect(maps.Keys(orders)))
	if err != nil {
		return err
	}
	a.claims.settle(orders, a.results)
	for _, id := range created {
		if _, there := orders[id]; !there {
			a.results.keep(Announced, fmt.Sprintf("order %d", id), repairShow(id), "an OrderCreated tells of it, and it is not there")
		}
	}
	for _, id := range join(orders, reservations, sagas, a.results) {
		a.open[id] = true
	}
	limits := a.cfg.Limits
	limits.Settle += time.Since(began)
	for id, o := range orders {
		a.lastOrder = max(a.lastOrder, id)
		if a.results.judge(o, limits) {
			delete(a.open, id)
		} else {
			a.open[id] = true
		}
	}
	return nil
}

// join gives each order what the other databases have of it. A live reservation without an order is
// a finding: Inventory holds items that nobody asked for. Its id is returned, to look at it again.
func join(orders map[int64]order, reservations []reservation, sagas []saga, r *results) (orphans []int64) {
	for i, held := range reservations {
		o, there := orders[held.OrderID]
		if !there {
			if held.State == reservedState {
				orphans = append(orphans, held.OrderID)
				r.find(Reserved, fmt.Sprintf("order %d", held.OrderID), repairRelease(held.OrderID),
					"%d × %q are reserved for it, and there is no such order", held.Quantity, held.SKU)
			}
			continue
		}
		o.Reservation = &reservations[i]
		orders[held.OrderID] = o
	}
	for i, s := range sagas {
		if o, there := orders[s.OrderID]; there {
			o.Saga = &sagas[i]
			orders[s.OrderID] = o
		}
	}
	return orphans
}

func (a *Auditor) readStock(ctx context.Context) error {
	shelves, err := a.databases.shelves(ctx)
	if err != nil {
		return err
	}
	a.results.shelves(shelves)
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
	sagas, err := a.databases.troubled(ctx)
	if err != nil {
		return err
	}
	a.results.troubled(sagas)
	a.results.deadLetters(a.mail, a.cfg.Expected)
	return nil
}
