package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what load to make.
type Config struct {
	// URLs are where the Orders services listen, http://host:port, used in turn.
	URLs []string
	// Path is where orders are posted to, and shown below; "" stands for /v1/orders.
	Path string
	// Rate is orders per second; see also [Generator.SetRate]. Infinite: each as soon as a sender
	// is free.
	Rate float64
	// Count ends the load after so many orders; 0 leaves it to the context.
	Count int64
	// Run begins the userId of every order. It must differ between runs on the same databases.
	Run string
	// Users has so many users order again and again; 0 stands for another one with each order.
	Users int64
	// Mix is what is ordered, drawn with Seed; InTurn takes its choices one after the other,
	// whatever their weights.
	Mix    Mix
	Seed   uint64
	InTurn bool
	Note   string // of every order
	// InFlight bounds the requests that wait for an answer at once; 0 stands for 1,024. One that is
	// due while all are taken is sent late, and measured from when it was due.
	InFlight int
	// Timeout bounds one request; 0 stands for 10 s.
	Timeout time.Duration
	// NoKeys sends no Idempotency-Key: then nothing can be sent again.
	NoKeys bool
	// RetryFor is how long a request that failed is sent again, with the same Idempotency-Key,
	// counted from when it was due; 0 sends none again. Retries are no part of the rate and of the
	// latencies.
	RetryFor time.Duration
	// RepeatEvery has one in so many of the accepted requests sent again all the same; 0 has none.
	RepeatEvery int64
	// Follow is how many orders per second are watched until a client sees them CONFIRMED.
	Follow float64
	// Ledger gets every request; nil keeps no record.
	Ledger *Ledger
}

// maxDue is how many requests can wait for a free sender before the schedule itself is late.
const maxDue = 1 << 16

// Generator makes load. Run it once; the other methods may be called meanwhile.
type Generator struct {
	cfg    Config
	client *client
	rate   atomic.Uint64 // float64 bits
	due    chan job
	random *rand.Rand // of the schedule

	sent, inFlight, accepted atomic.Int64
	tally                    tally

	retries  sync.WaitGroup
	retrying chan struct{}

	follow  chan followed
	confirm *Histogram
}

// job is a request that is due.
type job struct {
	n   int64
	due time.Time
	Choice
}

// New checks the settings.
func New(cfg Config) (*Generator, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Path == "" {
		cfg.Path = "/v1/orders"
	}
	if cfg.InFlight == 0 {
		cfg.InFlight = 1024
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	client, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	g := &Generator{
		cfg: cfg, client: client, due: make(chan job, maxDue), random: rand.New(rand.NewPCG(cfg.Seed, cfg.Seed)),
		tally: newTally(), retrying: make(chan struct{}, maxRetrying),
		follow: make(chan followed, followers), confirm: NewHistogram(),
	}
	g.SetRate(cfg.Rate)
	return g, nil
}

func (cfg Config) validate() error {
	switch {
	case len(cfg.URLs) == 0:
		return errors.New("a load needs the URL of an Orders service")
	case !(cfg.Rate > 0):
		return fmt.Errorf("the rate must be positive, not %g", cfg.Rate)
	case cfg.Run == "":
		return errors.New("a load needs a name for its run")
	case cfg.NoKeys && (cfg.RetryFor > 0 || cfg.RepeatEvery > 0):
		return errors.New("without Idempotency-Keys nothing can be sent again")
	}
	return cfg.Mix.Validate()
}

// SetRate changes how many orders are due per second from now on.
func (g *Generator) SetRate(rate float64) { g.rate.Store(math.Float64bits(rate)) }

// Rate is how many orders are due per second.
func (g *Generator) Rate() float64 { return math.Float64frombits(g.rate.Load()) }

// Late is how many orders are due and not sent yet.
func (g *Generator) Late() int { return len(g.due) }

// Accepted is how many orders have been answered 202 when they were sent for the first time.
func (g *Generator) Accepted() int64 { return g.accepted.Load() }

// Post is the time from due to the answer 202, and Confirm the time from due until a client sees
// the order CONFIRMED, of those that are followed.
func (g *Generator) Post() *Histogram { return g.tally.accepted }

// Confirm is described at Post.
func (g *Generator) Confirm() *Histogram { return g.confirm }

// Totals returns what became of the requests so far.
func (g *Generator) Totals() Totals {
	t := g.tally.totals()
	t.Sent, t.InFlight = g.sent.Load(), g.inFlight.Load()
	return t
}

// Run places orders until ctx ends or Count is reached, waits for the answers of those that were
// sent, retries included, and for the orders that are followed, and returns what became of all. It
// leaves nothing behind but a goroutine of fasthttp that looks for idle connections, and ends
// within 10 s.
func (g *Generator) Run(ctx context.Context) Totals {
	var senders, watchers sync.WaitGroup
	for range g.cfg.InFlight {
		senders.Go(func() {
			for j := range g.due {
				g.send(j)
			}
		})
	}
	if g.cfg.Follow > 0 {
		for range followers {
			watchers.Go(g.watch)
		}
	}
	g.schedule(ctx)
	close(g.due)
	senders.Wait()
	g.retries.Wait()
	close(g.follow)
	watchers.Wait()
	g.client.close()
	return g.Totals()
}

// schedule hands each request out when it is due. At high rates it wakes once for several of them.
func (g *Generator) schedule(ctx context.Context) {
	next := time.Now()
	for n := int64(1); g.cfg.Count == 0 || n <= g.cfg.Count; n++ {
		if !sleepUntil(ctx, next) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case g.due <- job{n, next, g.choose(n)}:
		}
		if rate := g.Rate(); math.IsInf(rate, 1) {
			next = time.Now()
		} else {
			next = next.Add(time.Duration(float64(time.Second) / rate))
		}
	}
}

func (g *Generator) choose(n int64) Choice {
	if g.cfg.InTurn {
		return g.cfg.Mix[n%int64(len(g.cfg.Mix))]
	}
	return g.cfg.Mix.pick(g.random)
}

// sleepUntil waits exactly; it reports whether ctx has not ended.
func sleepUntil(ctx context.Context, t time.Time) bool {
	const coarse = 20 * time.Millisecond // of which ctx may end one
	if left := time.Until(t); left > coarse {
		timer := time.NewTimer(left - coarse/2)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
		}
	}
	sleepExactly(t)
	return ctx.Err() == nil
}
