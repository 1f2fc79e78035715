package load

import (
	"fmt"
	"strconv"
	"time"

	"waybill.example/contracts"
)

// UserID is the userId of the n-th order of a run.
func UserID(run string, n int64) string { return run + "-" + strconv.FormatInt(n, 10) }

// order is the body of a request.
type order struct {
	UserID   string           `json:"userId"`
	SKU      string           `json:"sku,omitempty"`
	Quantity int32            `json:"quantity,omitempty"`
	Items    []contracts.Line `json:"items,omitempty"`
	Note     string           `json:"note,omitempty"`
}

func (g *Generator) user(n int64) string {
	if g.cfg.Users > 0 {
		n %= g.cfg.Users
	}
	return UserID(g.cfg.Run, n)
}

// send places one order and writes down what became of it. A request that was sent is not taken
// back when the load ends: its answer belongs into the ledger.
func (g *Generator) send(j job) {
	g.sent.Add(1)
	g.inFlight.Add(1)
	defer g.inFlight.Add(-1)
	e := Entry{N: j.n, UserID: g.user(j.n), SKU: j.SKU, Quantity: j.Quantity, Items: j.Items, Attempt: 1, Due: j.due}
	if !g.cfg.NoKeys {
		e.Key = UserID(g.cfg.Run, j.n)
	}
	g.attempt(&e)
	g.tally.add(e)
	if e.Accepted() && g.follows(g.accepted.Add(1)) {
		g.followUp(followed{e.OrderID, e.Due})
	}
	if g.mustRetry(e) {
		g.retries.Go(func() { g.retry(e) })
	}
}

// attempt sends a request, and writes down what became of it this time.
func (g *Generator) attempt(e *Entry) {
	// Attempts take turns, too: another instance has to give the same answer.
	var err error
	e.Sent, e.Error = time.Now(), ""
	e.Status, e.OrderID, err = g.client.post(int(e.N)+e.Attempt-1, order{e.UserID, e.SKU, e.Quantity, e.Items, g.cfg.Note}, e.Key)
	e.Done = time.Now()
	switch {
	case err != nil:
		e.Error = reason(err)
	case !e.Accepted():
		e.Error = fmt.Sprintf("answered %d", e.Status)
	}
	if g.cfg.Ledger != nil {
		g.cfg.Ledger.Append(*e)
	}
}
