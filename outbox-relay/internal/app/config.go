package app

import (
	"errors"
	"fmt"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/config"
	"waybill.example/chassis/kafka"
	"waybill.example/chassis/masking"
	"waybill.example/chassis/service"
	"waybill.example/outbox-relay/internal/databases"
)

// Config is the relay's settings.
type Config struct {
	service.Config

	Databases databases.Setting
	// Retention is how long published rows are kept; zero is forever.
	Retention time.Duration `env:"RELAY_RETENTION" envDefault:"168h"`
	// InboxRetention is how long messages are remembered as handled; zero is forever.
	InboxRetention time.Duration `env:"RELAY_INBOX_RETENTION" envDefault:"720h"`
	// BatchRows is the most rows read at a time. InFlightRows and InFlightBytes bound what each
	// database has between being read and being answered by the broker, and TotalBytes what all of
	// them have together.
	BatchRows     int `env:"RELAY_BATCH_ROWS"`
	InFlightRows  int `env:"RELAY_IN_FLIGHT_ROWS"`
	InFlightBytes int `env:"RELAY_IN_FLIGHT_BYTES"`
	TotalBytes    int `env:"RELAY_TOTAL_BYTES"`
	// UnresponsiveAfter is how long a leader may show no sign of life before a standby takes its
	// place, and Drain how long rows in flight are waited for at shutdown.
	UnresponsiveAfter time.Duration `env:"RELAY_UNRESPONSIVE_AFTER"`
	Drain             time.Duration `env:"RELAY_DRAIN"`
	// Topics are those that rows of each database may be for, name=topic|topic; "" allows all.
	Topics string `env:"RELAY_TOPICS"`
	// KafkaLogins are what the rows of each database are sent as, name=username:password; "" sends
	// all with the login of Kafka.
	KafkaLogins config.Secret `env:"RELAY_KAFKA_LOGINS"`
	// AdminTokens let their holders change something over HTTP: name=token.
	AdminTokens config.Secrets `env:"RELAY_ADMIN_TOKENS"`
	// ReadTokens let their holders read payloads where others than this machine can reach the API:
	// name=token.
	ReadTokens config.Secrets `env:"RELAY_READ_TOKENS"`
	Kafka      kafka.Config
	// Masks are what is hidden of payloads from people who may read the rest.
	Masks masking.Config
}

// DefaultConfig returns the settings that do not depend on the environment.
func DefaultConfig() Config {
	return Config{
		Config:    service.ListenOn("127.0.0.1:8083"),
		BatchRows: 4000, InFlightRows: 40_000, InFlightBytes: 64 << 20, TotalBytes: 256 << 20,
		UnresponsiveAfter: 3 * time.Second, Drain: 5 * time.Second,
	}
}

// Validate returns every fault of the settings.
func (c Config) Validate() []error {
	var faults []error
	if c.Retention < 0 {
		faults = append(faults, errors.New("RELAY_RETENTION must not be negative; 0 keeps rows forever"))
	}
	for name, value := range map[string]int{
		"RELAY_BATCH_ROWS": c.BatchRows, "RELAY_IN_FLIGHT_ROWS": c.InFlightRows,
		"RELAY_IN_FLIGHT_BYTES": c.InFlightBytes, "RELAY_TOTAL_BYTES": c.TotalBytes,
	} {
		if value < 1 {
			faults = append(faults, fmt.Errorf("%s must be at least 1", name))
		}
	}
	if c.UnresponsiveAfter < time.Second {
		faults = append(faults, errors.New("RELAY_UNRESPONSIVE_AFTER must be at least 1s: a leader shows a sign of life every half second"))
	}
	if c.Drain < 0 || c.Drain > service.ShutdownTimeout-2*time.Second {
		faults = append(faults, fmt.Errorf("RELAY_DRAIN must be between 0 and %v", service.ShutdownTimeout-2*time.Second))
	}
	if fault := c.inboxFault(); fault != nil {
		faults = append(faults, fault)
	}
	_, unfit := c.topics()
	faults = append(faults, unfit...)
	_, unfit = c.logins()
	faults = append(faults, unfit...)
	if _, err := c.tokens(); err != nil {
		faults = append(faults, err)
	}
	if _, err := c.readTokens(); err != nil {
		faults = append(faults, err)
	}
	return faults
}

// inboxFault holds that whatever a replay can send again is still known as handled.
func (c Config) inboxFault() error {
	switch {
	case c.InboxRetention < 0:
		return errors.New("RELAY_INBOX_RETENTION must not be negative; 0 remembers messages forever")
	case c.InboxRetention == 0:
		return nil
	case c.Retention == 0:
		return errors.New("RELAY_INBOX_RETENTION must be 0 (forever) where RELAY_RETENTION is: " +
			"a replay may send any row again, and consumers must know it as handled")
	case c.InboxRetention < c.Retention:
		return fmt.Errorf("RELAY_INBOX_RETENTION (%v) must not be shorter than RELAY_RETENTION (%v): "+
			"a replay sends old rows again, and consumers must know them as handled", c.InboxRetention, c.Retention)
	}
	return nil
}

func (c Config) readTokens() (admin.Tokens, error) {
	return admin.ParseReaders("RELAY_READ_TOKENS", c.ReadTokens)
}

func (c Config) tokens() (admin.Tokens, error) {
	return admin.Parse("RELAY_ADMIN_TOKENS", c.AdminTokens)
}
