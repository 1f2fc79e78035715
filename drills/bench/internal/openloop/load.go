package openloop

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what load to make.
type Config struct {
	// Addrs are where Orders services listen, host:port; connections are spread over them.
	Addrs []string
	// Path is where orders are posted to, and shown below; "" stands for /v1/orders.
	Path string
	// Rate is how many orders are due a second; see also [Load.SetRate]. Infinite: each as soon as a
	// worker is free.
	Rate float64
	// Count ends the load after so many orders; 0 leaves it to the context.
	Count int64
	// Workers bounds the requests under way; 0 stands for 256.
	Workers int
	// SKUs are ordered in turn, one item each.
	SKUs []string
	// Follow is how many orders a second are watched until a client sees them CONFIRMED.
	Follow float64
}

// Load is a load that Run makes. Its methods may be called while it runs.
type Load struct {
	cfg  Config
	rate atomic.Uint64 // float64 bits
	due  chan request

	accepted, failed atomic.Int64
	failure          atomic.Pointer[string] // the first
	post, confirm    *Histogram
	follow           chan followed
	unfollowed       atomic.Int64
}

type request struct {
	n   int64
	due time.Time
}

// New returns a load that has not begun.
func New(cfg Config) *Load {
	if cfg.Path == "" {
		cfg.Path = "/v1/orders"
	}
	if cfg.Workers == 0 {
		cfg.Workers = 256
	}
	if len(cfg.SKUs) == 0 {
		cfg.SKUs = []string{"bench"}
	}
	l := &Load{
		cfg: cfg, due: make(chan request, 1<<16),
		post: newHistogram(), confirm: newHistogram(), follow: make(chan followed, followers),
	}
	l.SetRate(cfg.Rate)
	return l
}

// SetRate changes how many orders are due a second from now on.
func (l *Load) SetRate(rate float64) { l.rate.Store(math.Float64bits(rate)) }

// Rate is how many orders are due a second.
func (l *Load) Rate() float64 { return math.Float64frombits(l.rate.Load()) }

// Accepted is how many orders have been answered 202.
func (l *Load) Accepted() int64 { return l.accepted.Load() }

// Failed is how many were not, and the first reason.
func (l *Load) Failed() (int64, string) {
	if first := l.failure.Load(); first != nil {
		return l.failed.Load(), *first
	}
	return l.failed.Load(), ""
}

// Late is how many orders are due and not sent yet.
func (l *Load) Late() int { return len(l.due) }

// Post is the time from due to the answer 202, and Confirm the time from due until a client sees the
// order CONFIRMED.
func (l *Load) Post() *Histogram { return l.post }

// Confirm is described at Post.
func (l *Load) Confirm() *Histogram { return l.confirm }

// Run makes the load until ctx ends or Count is reached, and waits for the answers and for the orders
// that are followed.
func (l *Load) Run(ctx context.Context) {
	var workers, watchers sync.WaitGroup
	for i := range l.cfg.Workers {
		workers.Go(func() { l.work(NewConn(l.cfg.Addrs[i%len(l.cfg.Addrs)])) })
	}
	if l.cfg.Follow > 0 {
		for i := range followers {
			watchers.Go(func() { l.watch(NewConn(l.cfg.Addrs[i%len(l.cfg.Addrs)])) })
		}
	}
	l.schedule(ctx)
	close(l.due)
	workers.Wait()
	close(l.follow)
	watchers.Wait()
}

// schedule says when requests are due. At high rates it wakes once for several of them.
func (l *Load) schedule(ctx context.Context) {
	next := time.Now()
	for n := int64(1); l.cfg.Count == 0 || n <= l.cfg.Count; n++ {
		if wait := time.Until(next); wait > 0 {
			sleepUntil(next)
		}
		select {
		case <-ctx.Done():
			return
		case l.due <- request{n, next}:
		}
		if rate := l.Rate(); math.IsInf(rate, 1) {
			next = time.Now()
		} else {
			next = next.Add(time.Duration(float64(time.Second) / rate))
		}
	}
}

func (l *Load) work(conn *Conn) {
	defer conn.Close()
	var body []byte
	for r := range l.due {
		sku := l.cfg.SKUs[r.n%int64(len(l.cfg.SKUs))]
		body = fmt.Appendf(body[:0], `{"userId":"u%d","sku":%q,"quantity":1,"note":"bench"}`, r.n%10_000, sku)
		id, err := place(conn, l.cfg.Path, body)
		if err != nil {
			l.fail(err)
			continue
		}
		l.post.Record(time.Since(r.due))
		n := l.accepted.Add(1)
		if l.follows(n) {
			select {
			case l.follow <- followed{id, r.due}:
			default:
				l.unfollowed.Add(1) // all watchers are busy: the system is far behind
			}
		}
	}
}

// follows spreads the orders to follow evenly over those that are accepted.
func (l *Load) follows(n int64) bool {
	if l.cfg.Follow <= 0 {
		return false
	}
	share := min(1, l.cfg.Follow/l.Rate())
	return int64(float64(n)*share) != int64(float64(n-1)*share)
}

func place(conn *Conn, path string, body []byte) (id int64, err error) {
	status, answer, err := conn.Post(path, body)
	if err != nil {
		return 0, err
	}
	if status != http.StatusAccepted {
		return 0, fmt.Errorf("POST %s is answered %d: %.200s", path, status, answer)
	}
	var accepted struct {
		ID int64 `json:"id"`
	}
	if err := json.Unmarshal(answer, &accepted); err != nil {
		return 0, fmt.Errorf("POST %s is answered %.200s: %w", path, answer, err)
	}
	return accepted.ID, nil
}

func (l *Load) fail(err error) {
	l.failed.Add(1)
	text := err.Error()
	l.failure.CompareAndSwap(nil, &text)
}
