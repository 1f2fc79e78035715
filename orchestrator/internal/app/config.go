package app

import (
	"fmt"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/kafka"
	"waybill.example/chassis/postgres"
	"waybill.example/chassis/service"
	"waybill.example/orchestrator/ordersaga"
)

// Config is the orchestrator's settings; see the table in the README.
type Config struct {
	service.Config

	Postgres postgres.Config
	Kafka    kafka.Config
	Timing   ordersaga.Timing
	// BatchSize bounds the messages of one transaction.
	BatchSize int `env:"BATCH_SIZE" envDefault:"500"`
	// DeadlineRate bounds how many deadlines are acted on a second, so that those
	// which passed during an outage do not all act at once.
	DeadlineRate int `env:"DEADLINE_RATE" envDefault:"500"`
	// Retention is how long a saga is kept after it ended.
	Retention time.Duration `env:"SAGA_RETENTION" envDefault:"720h"`
	// ExplainDatabases are name=URL pairs of the other services' databases, read-only
	// users suffice; they make explain tell the whole story.
	ExplainDatabases []string `env:"EXPLAIN_DATABASES" secret:"true"`
	// RelayURL is where outbox-relay answers /readyz, for explain.
	RelayURL string `env:"EXPLAIN_RELAY_URL"`
	// ServiceURLs are name=URL pairs of where the other services answer /readyz, for explain.
	ServiceURLs []string `env:"EXPLAIN_SERVICES"`
	// AdminTokens are name=token pairs of those who may intervene; none: nobody may.
	AdminTokens []string `env:"ORCHESTRATOR_ADMIN_TOKENS" secret:"true"`
	// ReadTokens are name=token pairs of those who may read what a saga carries, besides, where others
	// than this machine can reach the API.
	ReadTokens []string `env:"ORCHESTRATOR_READ_TOKENS" secret:"true"`
}

// DefaultConfig is what the environment adds to.
func DefaultConfig() Config {
	return Config{Config: service.ListenOn("127.0.0.1:8082")}
}

// Validate returns every fault of the settings at once.
func (c Config) Validate() []error {
	var faults []error
	positive := func(name string, ok bool) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s must be positive", name))
		}
	}
	positive("BATCH_SIZE", c.BatchSize > 0)
	positive("DEADLINE_RATE", c.DeadlineRate > 0)
	positive("RESERVE_DEADLINE", c.Timing.ReserveWithin > 0)
	positive("RESERVE_ATTEMPTS", c.Timing.ReserveAttempts > 0)
	positive("REPLY_DEADLINE", c.Timing.ReplyWithin > 0)
	if c.Timing.CancelWindow < 0 {
		faults = append(faults, fmt.Errorf("CANCEL_WINDOW must not be negative"))
	}
	if c.Retention <= c.Timing.CancelWindow {
		faults = append(faults, fmt.Errorf("SAGA_RETENTION must be longer than CANCEL_WINDOW: a forgotten saga cannot be cancelled"))
	}
	if _, err := c.tokens(); err != nil {
		faults = append(faults, err)
	}
	if _, err := c.readTokens(); err != nil {
		faults = append(faults, err)
	}
	return faults
}

func (c Config) readTokens() (admin.Tokens, error) {
	return admin.Parse("ORCHESTRATOR_READ_TOKENS", c.ReadTokens)
}

func (c Config) tokens() (admin.Tokens, error) {
	return admin.Parse("ORCHESTRATOR_ADMIN_TOKENS", c.AdminTokens)
}

// How often and how fast the background work is done.
const (
	deadlinesEvery = 200 * time.Millisecond // the precision of a deadline
	expireEvery    = time.Minute
	expireRate     = 5000 // sagas a second
	wakeEvery      = 10 * time.Second
	gaugeEvery     = 10 * time.Second
)
