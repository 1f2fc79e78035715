package load

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"
	"time"

	"waybill.example/contracts"
)

// Entry is what the client knows of one request that it has sent.
type Entry struct {
	// N counts the requests of a run from 1. UserID holds it too, so that an order whose answer was
	// lost can be found.
	N        int64            `json:"n"`
	UserID   string           `json:"userId"`
	SKU      string           `json:"sku,omitempty"`
	Quantity int32            `json:"quantity,omitempty"`
	Items    []contracts.Line `json:"items,omitempty"` // of an order of several lines, which has no SKU and no Quantity
	// Key is the Idempotency-Key of the request, and Attempt counts how often it was sent, from 1.
	// Every attempt is an entry.
	Key     string `json:"key,omitzero"`
	Attempt int    `json:"attempt,omitzero"`
	// Due is when the request should have been sent, Sent when it was, and Done when its answer was
	// there, or was no longer waited for.
	Due  time.Time `json:"due"`
	Sent time.Time `json:"sent"`
	Done time.Time `json:"done"`
	// Status is that of the HTTP answer; 0 where none came, and Error says why.
	Status int    `json:"status,omitzero"`
	Error  string `json:"error,omitzero"`
	// OrderID is the answered id; 0 without a 202.
	OrderID int64 `json:"orderId,omitzero"`
}

// Accepted reports whether the system took the order: it answered 202.
func (e Entry) Accepted() bool { return e.Status == statusAccepted }

// First reports whether the request was sent for the first time.
func (e Entry) First() bool { return e.Attempt <= 1 }

// retryable reports whether it is unknown what became of the request, or may be different next
// time.
func (e Entry) retryable() bool { return e.Status == 0 || e.Status == 429 || e.Status >= 500 }

// Latency counts from the moment the request was due.
func (e Entry) Latency() time.Duration { return e.Done.Sub(e.Due) }

// Ledger is an append-only file with an [Entry] a line. It may be used from several goroutines.
type Ledger struct {
	path string

	mu   sync.Mutex
	file *os.File
	to   *bufio.Writer
	err  error // of the first write that failed
	stop chan struct{}
	done chan struct{}
}

// flushEvery bounds what a killed drill forgets.
const flushEvery = 50 * time.Millisecond

// CreateLedger opens a ledger and appends to what it holds.
func CreateLedger(path string) (*Ledger, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	l := &Ledger{path: path, file: file, to: bufio.NewWriter(file), stop: make(chan struct{}), done: make(chan struct{})}
	go l.flush()
	return l, nil
}

// Path is where the ledger is.
func (l *Ledger) Path() string { return l.path }

func (l *Ledger) flush() {
	defer close(l.done)
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
			l.mu.Lock()
			l.err = errors.Join(l.err, l.to.Flush())
			l.mu.Unlock()
		}
	}
}

// Append writes an entry down. What goes wrong is reported by Close.
func (l *Ledger) Append(e Entry) {
	line, err := json.Marshal(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		_, err = l.to.Write(append(line, '\n'))
	}
	if l.err == nil {
		l.err = err
	}
}

// Close makes the ledger durable and returns the first error of its life.
func (l *Ledger) Close() error {
	close(l.stop)
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(l.err, l.to.Flush(), l.file.Sync(), l.file.Close()); err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	return nil
}

// ReadLedger returns the entries of a ledger in the order in which they were answered. The last
// line may be half a line where a drill was killed; it is left out.
func ReadLedger(path string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		file, err := os.Open(path)
		if err != nil {
			yield(Entry{}, fmt.Errorf("open the ledger: %w", err))
			return
		}
		defer func() { _ = file.Close() }() // it was only read
		lines := bufio.NewReader(file)
		for n := 1; ; n++ {
			line, err := lines.ReadBytes('\n')
			if errors.Is(err, io.EOF) {
				return
			}
			var e Entry
			if err == nil {
				err = json.Unmarshal(line, &e)
			}
			if err != nil {
				yield(Entry{}, fmt.Errorf("read line %d of the ledger: %w", n, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}
