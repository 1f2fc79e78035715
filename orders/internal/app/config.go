package app

import (
	"fmt"
	"time"

	"waybill.example/chassis/kafka"
	"waybill.example/chassis/postgres"
	"waybill.example/chassis/service"
)

// Config is everything that can be set, each field by the environment variable in its tag.
type Config struct {
	service.Config

	Postgres postgres.Config
	Kafka    kafka.Config

	// IdempotencyRetention is how long a client's Idempotency-Key is remembered: for so long it may
	// send a request again.
	IdempotencyRetention time.Duration `env:"IDEMPOTENCY_RETENTION"`
}

// minRetention is the shortest IDEMPOTENCY_RETENTION.
const minRetention = time.Minute

// Validate returns every fault of the settings.
func (c Config) Validate() []error {
	if c.IdempotencyRetention < minRetention {
		return []error{fmt.Errorf("IDEMPOTENCY_RETENTION must be at least %s, or a client's retry finds its key forgotten", minRetention)}
	}
	return nil
}

// DefaultConfig returns the settings that differ from service to service; the rest have theirs in
// tags.
func DefaultConfig() Config {
	return Config{Config: service.ListenOn("127.0.0.1:8080"), IdempotencyRetention: 24 * time.Hour}
}
