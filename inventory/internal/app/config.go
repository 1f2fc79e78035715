package app

import (
	"waybill/chassis/httpserver"
	"waybill/chassis/kafka"
	"waybill/chassis/postgres"
	"waybill/chassis/telemetry"
)

// Config is everything that can be set, each field by the environment variable in its tag.
type Config struct {
	Postgres  postgres.Config
	Kafka     kafka.Config
	HTTP      httpserver.Config
	Telemetry telemetry.Config
}

// Defaults returns the settings that differ from service to service; the rest have theirs in tags.
func Defaults() Config {
	return Config{HTTP: httpserver.Config{Addr: "127.0.0.1:8081"}}
}
