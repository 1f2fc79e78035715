// Package deadletters is a service's dead letters for operators: an HTTP API to look at them, to
// redrive, edit and discard them, metrics, and the parts of the process that work their queues off
// and remove old ones. What a dead letter is, and how order is kept, is in sdk/deadletter.
//
//	deadletters.go  what a service is given, and its parts
//	api.go          the operations that look
//	change.go       redrive, discard and edit one
//	bulk.go         redrive or discard all that a filter chooses, as a job
//	note.go         who looks at a group, and what is known of it
//	body.go         what the answers hold
//	reveal.go       payloads that travel encoded, for people, and what of them is hidden
//	metrics.go      counts and ages
package deadletters

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/fault"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/jobs"
	"waybill.example/chassis/masking"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/chassis/service"
	"waybill.example/chassis/sweep"
	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/inbox"
)

// Config is what can be set about dead letters.
type Config struct {
	// Parking has later messages of a dead letter's topic and key wait until it is redriven or
	// discarded.
	Parking bool `env:"DEAD_LETTER_PARKING" envDefault:"true"`
	// Retention is how long dead letters are kept after they were redriven, discarded or edited.
	// Open ones are kept for as long as it takes.
	Retention time.Duration `env:"DEAD_LETTER_RETENTION" envDefault:"2160h"`
}

// DefaultConfig is what is set where nothing is.
func DefaultConfig() Config { return Config{Parking: true, Retention: 90 * 24 * time.Hour} }

// Validate implements config.Validator.
func (c Config) Validate() []error {
	if c.Retention <= 0 {
		return []error{fmt.Errorf("DEAD_LETTER_RETENTION must be positive")}
	}
	return nil
}

// Behind returns what a consumer's Parking is: nil where it is off. behind says whether messages
// wait behind a dead letter; nil: behind each.
func (c Config) Behind(behind func(inbox.Delivery) bool) *inbox.Parking {
	if !c.Parking {
		return nil
	}
	return &inbox.Parking{Behind: behind}
}

// Permanent says whether an error is a message's own fault, so that it is dead again.
func Permanent(err error) bool { return chassispg.Classify(err).Kind == fault.Message }

// Options are what a service has.
type Options struct {
	DB       *pgxpool.Pool
	Redriver *inbox.Redriver
	// Jobs do what a filter chooses; nil: dead letters are changed one by one only.
	Jobs   *jobs.Jobs
	Config Config
	// Masks are what is hidden of payloads from whom; nil: nothing is.
	Masks *masking.Rules
	// Tokens are who may change dead letters; none: changes are off.
	Tokens admin.Tokens
	// Readers may look at them; nil: every client that reaches the API.
	Readers *admin.Tokens
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Service is the dead letters of one service. It is safe for concurrent use.
type Service struct {
	Options
	store *deadletter.Store
	known admin.Tokens // whose holders are recognised where everybody may look
}

// New returns the dead letters of a service, and registers their metrics and the kinds of jobs
// dead-letter.redrive and dead-letter.discard.
func New(o Options) *Service {
	s := &Service{Options: o, store: deadletter.NewStore(o.DB)}
	o.Metrics.MustRegister(newCollector(s.store, o.Redriver.Consumer()))
	if o.Jobs != nil {
		o.Jobs.Register(kindRedrive, jobs.HandlerFunc(s.redriveItem))
		o.Jobs.Register(kindDiscard, jobs.HandlerFunc(s.discardItem))
	}
	return s
}

// Mount adds the dead letters to a service: the API, and what works in the background. Readers are
// those who may read where others than this machine can reach the API.
func (s *Service) Mount(app *service.App, server *httpserver.Server, readers admin.Tokens) {
	if !server.Local() {
		s.Readers = &readers
	}
	s.known = readers
	s.Register(httpserver.Operations{API: server.API, Log: s.Log})
	app.Add("redriver", s.Run)
	app.Add("dead letter sweeper", s.Sweep)
}

// MountJobs adds the jobs, to a service that has no others.
func (s *Service) MountJobs(app *service.App, server *httpserver.Server) {
	(&jobs.API{Jobs: s.Jobs, Tokens: s.Tokens, Readers: s.Readers}).Register(httpserver.Operations{API: server.API, Log: s.Log})
	app.Add("jobs", s.Jobs.Run)
}

// Run works queues off, until ctx ends.
func (s *Service) Run(ctx context.Context) error { return s.Redriver.Run(ctx) }

// Sweep removes what is old and closed, until ctx ends.
func (s *Service) Sweep(ctx context.Context) error {
	remove := func(ctx context.Context, limit int) (int, error) {
		return s.store.Sweep(ctx, s.Config.Retention, limit)
	}
	return sweep.Loop("dead letters", s.Log, remove)(ctx)
}

// Check says what waits for an operator, in words that anybody may read; for the details of a
// readiness page.
func (s *Service) Check(ctx context.Context) error {
	stats, err := s.store.Stats(ctx)
	if err != nil {
		return fmt.Errorf("the dead letters cannot be read") // why is what the database's own check says
	}
	var parts []string
	for _, t := range stats {
		if t.Dead == 0 {
			continue
		}
		parts = append(parts, fmt.Sprintf("%d dead letters of %s, the oldest for %s, and %d messages behind them",
			t.Dead, t.Topic, time.Since(*t.Oldest).Round(time.Second), t.Parked))
	}
	if len(parts) == 0 {
		return nil
	}
	return fmt.Errorf("%s; see waybill dlq groups", strings.Join(parts, "; "))
}
