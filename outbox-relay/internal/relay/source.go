package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	chassis "waybill.example/chassis/kafka"
	"waybill.example/chassis/postgres"
	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

// Source relays one database.
type Source struct {
	name    string
	dsn     string
	leader  string
	kafka   chassis.Config
	options Options
	log     *slog.Logger
	debug   bool // whether the log takes lines about each row
	metrics *Metrics
	status  status
	fence   *postgres.Fence

	maxMessage int // bytes; longer rows are refused without being read
}

// NewSource returns a source that Run will relay. Name is what people call the database, and part
// of ce_source; leader is what this process calls itself.
func NewSource(name, dsn, leader string, kafka chassis.Config, options Options, metrics *Metrics, log *slog.Logger) *Source {
	if options.Clients == nil || !options.Clients.Fit(kafka) {
		options.Clients = publish.NewClients(kafka, log)
	}
	s := &Source{
		name: name, dsn: dsn, leader: leader, kafka: kafka,
		options: options.withDefaults(), metrics: metrics, log: log.With("database", name),
		fence:      &postgres.Fence{},
		debug:      log.Enabled(context.Background(), slog.LevelDebug),
		maxMessage: publish.MaxMessage(kafka),
	}
	s.status.set(Connecting, nil)
	return s
}

// url is the database's as it is now.
func (s *Source) url() string {
	if s.options.URL != nil {
		return s.options.URL()
	}
	return s.dsn
}

// Name returns what people call the database.
func (s *Source) Name() string { return s.name }

const (
	firstRetry   = 100 * time.Millisecond
	longestRetry = 2 * time.Second
)

// Run relays until ctx ends, through every failure of the database and the broker.
func (s *Source) Run(ctx context.Context) error {
	pause := firstRetry
	var told string
	for {
		began := time.Now()
		err := s.attemptSafely(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // asked to stop, whatever that broke
		}
		s.status.set(Connecting, err)
		s.metrics.resign(s.name)
		if time.Since(began) > longestRetry {
			pause = firstRetry
		}
		if text := err.Error(); text != told || pause == firstRetry {
			s.log.WarnContext(ctx, "not relaying", "error", err, "retry_in", pause)
			told = text
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, longestRetry)
	}
}

// attemptSafely makes an error of a panic, which must not end the relaying of other databases.
func (s *Source) attemptSafely(ctx context.Context) (err error) {
	defer safely(s.log, &err)
	return s.attempt(ctx)
}

func safely(log *slog.Logger, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v", p)
		log.Error("a fault of the relay", "panic", p, "stack", string(debug.Stack()))
	}
}

// attempt connects, waits for the lead, and leads for as long as nothing fails.
func (s *Source) attempt(ctx context.Context) error {
	session, err := source.ConnectBehind(ctx, s.fence, s.name, s.url())
	if err != nil {
		return err
	}
	defer session.Close(ctx)
	prober, err := s.options.Clients.Prober(s.name)
	if err != nil {
		return err // before the lead is taken, which another may make more of
	}
	defer prober.Close()
	if err := s.standBy(ctx, session, prober); err != nil {
		return err
	}
	progress, err := session.Begin(ctx, s.leader)
	if err != nil {
		return err
	}
	s.status.set(Leading, nil)
	l := newLoop(s, session, prober, progress)
	defer l.close()
	leading, resign := context.WithCancel(ctx)
	var maintaining sync.WaitGroup
	maintaining.Go(func() { s.maintain(leading, session.Epoch(), l.replays) })
	defer maintaining.Wait()
	defer resign()
	s.log.InfoContext(ctx, "leading", "published_up_to", progress.Published.End()-1, "gaps", len(progress.Published.Gaps()), "stuck", len(progress.Stuck))
	s.metrics.leading(s.name, true)
	err = l.run(ctx)
	if errors.Is(err, source.ErrFenced) {
		s.log.WarnContext(ctx, "another relay has taken over")
	}
	return err
}
