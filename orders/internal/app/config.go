package app

import (
	"errors"
	"math"

	"waybill.example/chassis/config"
	"waybill.example/chassis/deadletters"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/kafka"
	"waybill.example/chassis/payloads"
	"waybill.example/chassis/postgres"
	"waybill.example/chassis/service"
	"waybill.example/contracts"
	"waybill.example/sdk/inbox"
)

// Config is everything that can be set, each field by the environment variable in its tag.
type Config struct {
	service.Config

	Postgres    postgres.Config
	Kafka       kafka.Config
	Idempotency httpserver.IdempotencyConfig
	Limits      Limits
	// Shard is which orders this instance has, by their ids; not set: all.
	Shard       contracts.Shard `env:"ORDER_SHARD"`
	DeadLetters deadletters.Config
	Payloads    payloads.Config
	// AdminTokens are name=token pairs of those who may change dead letters; none: that is off.
	AdminTokens config.Secrets `env:"ORDERS_ADMIN_TOKENS"`
	// ReadTokens are name=token pairs of those who may read them, besides, where others than this
	// machine can reach the API.
	ReadTokens config.Secrets `env:"ORDERS_READ_TOKENS"`
}

// owns reports whether a command is for an order of this shard.
func (c Config) owns(d inbox.Delivery) bool { return c.Shard.Owns(d.Key) }

// Limits are how much the service takes on. All are off unless they are set.
type Limits struct {
	// UserRate is how many orders per second a userId may place, on average, and UserBurst how many
	// at once. Each instance counts for itself.
	UserRate  float64 `env:"ORDERS_USER_RATE" envDefault:"0"`
	UserBurst int     `env:"ORDERS_USER_BURST" envDefault:"10"`
	// MaxBacklog is how many messages may wait in the outbox before no more orders are taken.
	MaxBacklog int64 `env:"ORDERS_MAX_BACKLOG" envDefault:"0"`
}

// Validate implements config.Validator.
func (l Limits) Validate() []error {
	var problems []error
	if l.UserRate < 0 || math.IsNaN(l.UserRate) || math.IsInf(l.UserRate, 0) {
		problems = append(problems, errors.New("ORDERS_USER_RATE must be a number of orders per second, or 0 for no limit"))
	}
	if l.UserBurst < 1 {
		problems = append(problems, errors.New("ORDERS_USER_BURST must be positive"))
	}
	if l.MaxBacklog < 0 {
		problems = append(problems, errors.New("ORDERS_MAX_BACKLOG must not be negative"))
	}
	return problems
}

// rates returns the limiter that they ask for, nil for none.
func (l Limits) rates() *httpserver.RateLimiter {
	if l.UserRate == 0 {
		return nil
	}
	return httpserver.NewRateLimiter("user", l.UserRate, l.UserBurst)
}

// DefaultConfig returns the settings that differ from service to service; the rest have theirs in
// tags.
func DefaultConfig() Config {
	return Config{
		Config: service.ListenOn("127.0.0.1:8080"), Idempotency: httpserver.DefaultIdempotency(),
		DeadLetters: deadletters.DefaultConfig(),
	}
}
