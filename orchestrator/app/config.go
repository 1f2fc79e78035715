package app

import (
	"fmt"
	"net/url"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/config"
	"waybill.example/chassis/deadletters"
	"waybill.example/chassis/kafka"
	"waybill.example/chassis/payloads"
	"waybill.example/chassis/postgres"
	"waybill.example/chassis/service"
	"waybill.example/orchestrator/internal/notify"
)

// Config is the settings of an orchestrator, whatever its sagas; see the table in docs/sagas.md.
type Config struct {
	service.Config

	Postgres postgres.Config
	Kafka    kafka.Config
	// DeadLetters: messages wait behind replies only that could not be applied.
	DeadLetters deadletters.Config
	Payloads    payloads.Config
	// BatchSize bounds the messages of one transaction.
	BatchSize int `env:"BATCH_SIZE" envDefault:"500"`
	// DeadlineRate bounds how many deadlines are acted on per second, so that those which passed
	// during an outage are not all acted on at once.
	DeadlineRate int `env:"DEADLINE_RATE" envDefault:"500"`
	// Retention is how long a saga is kept after it ended.
	Retention time.Duration `env:"SAGA_RETENTION" envDefault:"720h"`
	// OrdersURL, InventoryURL and RelayURL are where explain, find and notifications ask what the
	// orchestrator's own database does not say; one that is empty is not asked. The tokens are one
	// each of their …_READ_TOKENS, which they want outside of loopback.
	OrdersURL      string        `env:"ORDERS_URL"`
	OrdersToken    config.Secret `env:"ORDERS_READ_TOKEN"`
	InventoryURL   string        `env:"INVENTORY_URL"`
	InventoryToken config.Secret `env:"INVENTORY_READ_TOKEN"`
	RelayURL       string        `env:"RELAY_URL"`
	RelayToken     config.Secret `env:"RELAY_READ_TOKEN"`
	// AuditURL is where drills audit --watch answers, whose findings the console shows; empty:
	// nobody watches.
	AuditURL string `env:"AUDIT_URL"`
	// AdminTokens are name=token pairs of those who may intervene; none: interventions are off.
	AdminTokens config.Secrets `env:"ORCHESTRATOR_ADMIN_TOKENS"`
	// ReadTokens are name=token pairs of those who may read what a saga carries, besides, where
	// others than this machine can reach the API.
	ReadTokens config.Secrets `env:"ORCHESTRATOR_READ_TOKENS"`
	// ConsoleKey encrypts the sessions of the console, so that several instances accept each
	// other's; empty: a random one, and sessions end with the process.
	ConsoleKey config.Secret `env:"CONSOLE_KEY"`
	// DevStack is the stack.json of the development stack that this process is a part of: the
	// console then offers to kill and freeze its processes. Set by make up, and nowhere else.
	DevStack string `env:"DEVSTACK_STATE"`
	// Notify is who is notified when something needs a person.
	Notify NotifyConfig `envPrefix:"NOTIFY_"`
}

// NotifyConfig is where notifications go; without a webhook there are none.
type NotifyConfig struct {
	// Webhook is the address, a secret too: receivers' addresses often are. WebhookSecret signs.
	Webhook       config.Secret `env:"WEBHOOK_URL"`
	WebhookSecret config.Secret `env:"WEBHOOK_SECRET"`
	// Every is how often it is looked, and After how long something has to last to be reported that
	// may pass by itself.
	Every time.Duration `env:"EVERY" envDefault:"15s"`
	After time.Duration `env:"AFTER" envDefault:"1m"`
}

// webhook returns nil where none is set.
func (c NotifyConfig) webhook() (*notify.Webhook, error) {
	if c.Webhook == "" {
		return nil, nil //nolint:nilnil // there need not be one
	}
	webhook, err := notify.NewWebhook(string(c.Webhook), string(c.WebhookSecret))
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_WEBHOOK_URL, NOTIFY_WEBHOOK_SECRET: %w", err)
	}
	return webhook, nil
}

// DefaultConfig is what the environment adds to.
func DefaultConfig() Config {
	return Config{Config: service.ListenOn("127.0.0.1:8082"), DeadLetters: deadletters.DefaultConfig()}
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
	positive("SAGA_RETENTION", c.Retention > 0)
	positive("NOTIFY_EVERY", c.Notify.Every > 0)
	if _, err := c.Notify.webhook(); err != nil {
		faults = append(faults, err)
	}
	for name, address := range map[string]string{"ORDERS_URL": c.OrdersURL, "INVENTORY_URL": c.InventoryURL, "RELAY_URL": c.RelayURL, "AUDIT_URL": c.AuditURL} {
		if u, err := url.Parse(address); address != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			faults = append(faults, fmt.Errorf("%s must be a URL such as http://host:port", name))
		}
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
	return admin.ParseReaders("ORCHESTRATOR_READ_TOKENS", c.ReadTokens)
}

func (c Config) tokens() (admin.Tokens, error) {
	return admin.Parse("ORCHESTRATOR_ADMIN_TOKENS", c.AdminTokens)
}

// The clients of the others: nil where it is not known where one is. The settings say where a token
// goes, as they do for explain.
func (c Config) ordersClient() *apiclient.Client {
	return client(c.OrdersURL, c.OrdersToken, "order service", "ORDERS")
}

func (c Config) inventoryClient() *apiclient.Client {
	return client(c.InventoryURL, c.InventoryToken, "inventory service", "INVENTORY")
}

func (c Config) relayClient() *apiclient.Client {
	return client(c.RelayURL, c.RelayToken, "relay", "RELAY")
}

func client(url string, token config.Secret, name, prefix string) *apiclient.Client {
	if url == "" {
		return nil
	}
	client := apiclient.Peer(url, string(token), name, prefix)
	return &client
}
