package app

import (
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/kafka"
	"waybill.example/chassis/postgres"
	"waybill.example/chassis/service"
)

// Config is everything that can be set, each field by the environment variable in its tag.
type Config struct {
	service.Config

	Postgres    postgres.Config
	Kafka       kafka.Config
	Idempotency httpserver.IdempotencyConfig
}

// DefaultConfig returns the settings that differ from service to service; the rest have theirs in
// tags.
func DefaultConfig() Config {
	return Config{Config: service.ListenOn("127.0.0.1:8080"), Idempotency: httpserver.DefaultIdempotency()}
}
