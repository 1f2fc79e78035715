package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what load to make.
type Config struct {
	// URLs are where the Orders services listen, http://host:port, used in turn.
	URLs []string
	// Rate is orders a second.
	Rate float64
	// Run begins the userId of every order. It must differ between runs on the same databases.
	Run  string
	Mix  Mix
	Seed uint64 // of the choices from the mix
	// InFlight bounds the requests that wait for an answer at once; 0 stands for 1,024. One that is
	// due while all are taken is sent late, and measured from when it was due.
	InFlight int
	// Timeout bounds one request; 0 stands for 10 s.
	Timeout time.Duration
	// RetryFor is how long a request that failed is sent again, with the same Idempotency-Key, counted
	// from when it was due; 0 sends none again. Retries are no part of the rate and of the latencies.
	RetryFor time.Duration
	// RepeatEvery has one in so many of the accepted requests sent again all the same; 0 has none.
	RepeatEvery int64
	// Ledger gets every request; nil keeps no record.
	Ledger *Ledger
}

// Generator makes load. Run it once; the other methods may be called meanwhile.
type Generator struct {
	cfg    Config
	client *http.Client
	due    chan job

	sent, inFlight atomic.Int64
	tally          tally

	retries  sync.WaitGroup
	retrying chan struct{}
}

// job is a request that is due.
type job struct {
	n   int64
	due time.Time
	Choice
}

// New checks the settings.
func New(cfg Config) (*Generator, error) {
	if len(cfg.URLs) == 0 {
		return nil, errors.New("a load needs the URL of an Orders service")
	}
	if cfg.Rate <= 0 {
		return nil, fmt.Errorf("the rate must be positive, not %g", cfg.Rate)
	}
	if cfg.Run == "" {
		return nil, errors.New("a load needs a name for its run")
	}
	if err := cfg.Mix.Validate(); err != nil {
		return nil, err
	}
	if cfg.InFlight == 0 {
		cfg.InFlight = 1024
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	return &Generator{
		cfg: cfg,
		client: &http.Client{
			Timeout:   cfg.Timeout,
			Transport: &http.Transport{MaxIdleConnsPerHost: cfg.InFlight, DisableCompression: true},
		},
		// A second of load can wait for a free sender before the schedule itself is late.
		due:   make(chan job, max(cfg.InFlight, int(cfg.Rate))),
		tally: newTally(),

		retrying: make(chan struct{}, maxRetrying),
	}, nil
}

// Run places orders until ctx ends, waits for the answers of those that were sent, retries included, and
// returns what became of all. It leaves nothing behind.
func (g *Generator) Run(ctx context.Context) Totals {
	var senders sync.WaitGroup
	for range g.cfg.InFlight {
		senders.Go(func() {
			for j := range g.due {
				g.send(j)
			}
		})
	}
	g.schedule(ctx)
	close(g.due)
	senders.Wait()
	g.retries.Wait()
	g.client.CloseIdleConnections()
	return g.Totals()
}

// schedule hands each request out when it is due.
func (g *Generator) schedule(ctx context.Context) {
	random := rand.New(rand.NewPCG(g.cfg.Seed, g.cfg.Seed))
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := int64(1); ; n++ {
		due := start.Add(time.Duration(float64(n-1) / g.cfg.Rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
		}
		if ctx.Err() != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case g.due <- job{n, due, g.cfg.Mix.pick(random)}:
		}
	}
}

// Totals tells what became of the requests so far.
func (g *Generator) Totals() Totals {
	t := g.tally.totals()
	t.Sent, t.InFlight = g.sent.Load(), g.inFlight.Load()
	return t
}
