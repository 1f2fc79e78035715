package app

import (
	"errors"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/config"
	"waybill.example/chassis/deadletters"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/kafka"
	"waybill.example/chassis/payloads"
	"waybill.example/chassis/postgres"
	"waybill.example/chassis/service"
	"waybill.example/contracts"
	"waybill.example/inventory/internal/grpcserver"
	"waybill.example/sdk/inbox"
)

// Config is everything that can be set, each field by the environment variable in its tag.
type Config struct {
	service.Config

	Postgres    postgres.Config
	Kafka       kafka.Config
	Idempotency httpserver.IdempotencyConfig
	GRPC        grpcserver.Config
	// Shard is for which orders this instance has stock, by their ids; not set: all.
	Shard       contracts.Shard `env:"ORDER_SHARD"`
	DeadLetters deadletters.Config
	Payloads    payloads.Config
	// AdminTokens are name=token pairs of those who may change the stock and dead letters; none:
	// anybody may change the stock who reaches the API, and the log has no names; dead letters are
	// not changed.
	AdminTokens config.Secrets `env:"INVENTORY_ADMIN_TOKENS"`
	// AnonymousStock lets everybody change the stock although there are tokens. The log has the
	// names of those who send one.
	AnonymousStock bool `env:"INVENTORY_ANONYMOUS_STOCK"`
	// ReadTokens are name=token pairs of those who may read dead letters, besides, where others
	// than this machine can reach the API.
	ReadTokens config.Secrets `env:"INVENTORY_READ_TOKENS"`
}

// Validate implements config.Validator.
func (c Config) Validate() []error {
	_, err := c.tokens()
	_, worse := c.readers()
	if err = errors.Join(err, worse); err != nil {
		return []error{err}
	}
	return nil
}

// owns reports whether a command is for an order of this shard.
func (c Config) owns(d inbox.Delivery) bool { return c.Shard.Owns(d.Key) }

func (c Config) readers() (admin.Tokens, error) {
	return admin.ParseReaders("INVENTORY_READ_TOKENS", c.ReadTokens)
}

func (c Config) tokens() (admin.Tokens, error) {
	return admin.Parse("INVENTORY_ADMIN_TOKENS", c.AdminTokens)
}

// stockTokens are the tokens of those who may change the stock.
func (c Config) stockTokens(operators admin.Tokens) admin.Tokens {
	if c.AnonymousStock && !operators.Empty() {
		return operators.Optional()
	}
	return operators
}

// DefaultConfig returns the settings that differ from service to service; the rest have theirs in
// tags.
func DefaultConfig() Config {
	return Config{
		Config: service.ListenOn("127.0.0.1:8081"), Idempotency: httpserver.DefaultIdempotency(),
		GRPC: grpcserver.Config{Addr: "127.0.0.1:9081"}, DeadLetters: deadletters.DefaultConfig(),
	}
}
