package service

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/oidc"
	"waybill.example/chassis/telemetry"
)

// Config is what can be set of every service. A service's own Config embeds it.
type Config struct {
	HTTP      httpserver.Config
	Telemetry telemetry.Config
	OIDC      oidc.Config
	// GCBallast spares a small heap most of its garbage collections, for at most 48 MiB of memory.
	GCBallast bool `env:"GC_BALLAST" envDefault:"true"`
}

// Common returns the settings that every service has. It is there for [Main], which gets them from
// the Config that embeds this one.
func (c Config) Common() Config { return c }

// Operators returns the tokens of operators as every service has them: refusals are reported, and
// people whom the identity provider knows, if there is one, are let in as well.
func (c Config) Operators(tokens admin.Tokens, log *slog.Logger, metrics prometheus.Registerer) (admin.Tokens, *oidc.Provider, error) {
	provider, err := oidc.New(c.OIDC, log)
	if err != nil {
		return tokens, nil, err
	}
	return tokens.Observed(log, metrics).With(provider.Identifier()), provider, nil
}

// ListenOn returns the defaults of a service that answers HTTP on addr unless HTTP_ADDR says
// otherwise.
func ListenOn(addr string) Config { return Config{HTTP: httpserver.Config{Addr: addr}} }

// Settings is a service's Config, which embeds [Config].
type Settings interface{ Common() Config }
