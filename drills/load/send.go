package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

const statusAccepted = http.StatusAccepted

// UserID is the userId of the n-th order of a run.
func UserID(run string, n int64) string { return fmt.Sprintf("%s-%d", run, n) }

// send places one order and writes down what became of it. A request that was sent is not taken
// back when the load ends: its answer belongs into the ledger.
func (g *Generator) send(j job) {
	g.sent.Add(1)
	g.inFlight.Add(1)
	defer g.inFlight.Add(-1)
	user := UserID(g.cfg.Run, j.n)
	e := Entry{N: j.n, UserID: user, SKU: j.SKU, Quantity: j.Quantity, Key: user, Attempt: 1, Due: j.due}
	g.attempt(&e)
	g.tally.add(e)
	if g.mustRetry(e) {
		g.retries.Go(func() { g.retry(e) })
	}
}

// attempt sends a request, and writes down what became of it this time.
func (g *Generator) attempt(e *Entry) {
	// Attempts take turns, too: another instance has to give the same answer.
	url := g.cfg.URLs[(int(e.N)+e.Attempt-1)%len(g.cfg.URLs)] + "/v1/orders"
	var err error
	e.Sent, e.Error = time.Now(), ""
	e.Status, e.OrderID, err = g.post(url, *e)
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

func (g *Generator) post(url string, e Entry) (status int, id int64, err error) {
	body, err := json.Marshal(struct {
		UserID   string `json:"userId"`
		SKU      string `json:"sku"`
		Quantity int32  `json:"quantity"`
	}{e.UserID, e.SKU, e.Quantity})
	if err != nil {
		return 0, 0, err
	}
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", e.Key)
	response, err := g.client.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return 0, 0, err // the status alone does not tell which order it was
	}
	if response.StatusCode != statusAccepted {
		return response.StatusCode, 0, nil
	}
	var order struct {
		ID int64 `json:"id"`
	}
	if err := json.Unmarshal(answer, &order); err != nil || order.ID <= 0 {
		return 0, 0, errors.New("a 202 without an order id")
	}
	return response.StatusCode, order.ID, nil
}

// reason puts an error into one of a few words, so that they can be counted.
func reason(err error) string {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "server closed idle connection"):
		return "connection lost"
	}
	return err.Error()
}
