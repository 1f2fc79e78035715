package main

import (
	"errors"
	"fmt"
	"time"

	"waybill/chassis/admin"
	"waybill/chassis/httpserver"
	"waybill/chassis/kafka"
	"waybill/chassis/telemetry"
)

// Config is the relay's settings.
type Config struct {
	Databases Databases
	// Retention is how long published rows are kept; zero is for ever.
	Retention time.Duration `env:"RELAY_RETENTION" envDefault:"168h"`
	// InboxRetention is how long messages are remembered as handled; zero is for ever.
	InboxRetention time.Duration `env:"RELAY_INBOX_RETENTION" envDefault:"720h"`
	// AdminTokens let their holders change something over HTTP: name=token.
	AdminTokens []string `env:"RELAY_ADMIN_TOKENS" secret:"true"`
	Kafka       kafka.Config
	HTTP        httpserver.Config
	Telemetry   telemetry.Config
}

// DefaultConfig returns the settings that do not depend on the environment.
func DefaultConfig() Config { return Config{HTTP: httpserver.Config{Addr: "127.0.0.1:8083"}} }

// Validate returns every fault of the settings.
func (c Config) Validate() []error {
	var faults []error
	if c.Retention < 0 {
		faults = append(faults, errors.New("RELAY_RETENTION must not be negative; 0 keeps rows for ever"))
	}
	if fault := c.inboxFault(); fault != nil {
		faults = append(faults, fault)
	}
	if _, err := c.tokens(); err != nil {
		faults = append(faults, err)
	}
	return faults
}

// inboxFault holds that whatever a replay can send again is still known as handled.
func (c Config) inboxFault() error {
	switch {
	case c.InboxRetention < 0:
		return errors.New("RELAY_INBOX_RETENTION must not be negative; 0 remembers messages for ever")
	case c.InboxRetention == 0:
		return nil
	case c.Retention == 0:
		return errors.New("RELAY_INBOX_RETENTION must be 0 (for ever) where RELAY_RETENTION is: " +
			"a replay may send any row again, and consumers must know it as handled")
	case c.InboxRetention < c.Retention:
		return fmt.Errorf("RELAY_INBOX_RETENTION (%v) must not be shorter than RELAY_RETENTION (%v): "+
			"a replay sends old rows again, and consumers must know them as handled", c.InboxRetention, c.Retention)
	}
	return nil
}

func (c Config) tokens() (admin.Tokens, error) {
	return admin.Parse("RELAY_ADMIN_TOKENS", c.AdminTokens)
}
