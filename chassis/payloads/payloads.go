// Package payloads makes the codec of a service's payloads of its settings: whether they are
// encrypted (sdk/payload/encryption), where large ones are kept (sdk/payload/claimcheck), and
// whether they are checked against schemas (chassis/schemaregistry). Without settings there is
// none, and payloads travel as they are. Beside it are the rules of what people see of them
// (chassis/masking).
package payloads

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"waybill.example/chassis/masking"
	"waybill.example/chassis/service"
	"waybill.example/chassis/sweep"
	"waybill.example/sdk/payload"
	"waybill.example/sdk/payload/claimcheck"
	"waybill.example/sdk/payload/encryption"
)

// What a list of topics may say in place of topics.
const (
	every = "*"
	none  = "none"
)

// Config is what can be set.
type Config struct {
	// Keyring is the file with the key-encryption keys; empty: encrypted payloads are neither sent
	// nor read.
	Keyring string `env:"PAYLOAD_KEYRING"`
	// EncryptTopics are those whose payloads are encrypted: * for all that the service writes, none
	// for a service that only reads.
	EncryptTopics []string `env:"PAYLOAD_ENCRYPT_TOPICS" envDefault:"*"`
	// RequiredTopics are those of which plain payloads are refused, once all senders encrypt.
	RequiredTopics []string `env:"PAYLOAD_ENCRYPTION_REQUIRED"`
	// KeyLifetime is how long a data key is used, and remembered.
	KeyLifetime time.Duration `env:"PAYLOAD_KEY_LIFETIME" envDefault:"5m"`
	Blobs       BlobConfig
	Schemas     SchemaConfig
	// Masks are what is hidden of payloads from people who may read the rest.
	Masks masking.Config
}

// Validate implements config.Validator.
func (c Config) Validate() []error {
	var problems []error
	for name, topics := range map[string][]string{"PAYLOAD_ENCRYPT_TOPICS": c.EncryptTopics, "PAYLOAD_SCHEMA_TOPICS": c.Schemas.Topics} {
		if len(topics) > 1 && (slices.Contains(topics, every) || slices.Contains(topics, none)) {
			problems = append(problems, errors.New(name+" must be *, none, or a list of topics"))
		}
	}
	if c.KeyLifetime < 0 {
		problems = append(problems, errors.New("PAYLOAD_KEY_LIFETIME must be positive"))
	}
	if c.Keyring == "" && len(c.RequiredTopics) > 0 {
		problems = append(problems, errors.New("PAYLOAD_ENCRYPTION_REQUIRED needs a PAYLOAD_KEYRING"))
	}
	return problems
}

// Payloads are what a service does with payloads.
type Payloads struct {
	// Codec is for the outbox and the inbox; nil: payloads travel as they are.
	Codec payload.Codec
	// Masks are what is hidden from whom; nil: nothing is.
	Masks *masking.Rules

	blobs     claimcheck.BlobStore
	retention time.Duration
	log       *slog.Logger
}

// New makes what the settings ask for. schemas has the JSON Schema of each type of message that the
// service sends, named as its type (OrderCreated.json); nil where there are none. What is encrypted
// is kept encrypted, and checked before.
func New(c Config, schemas fs.FS, log *slog.Logger) (*Payloads, error) {
	schema, err := c.Schemas.codec(schemas)
	if err != nil {
		return nil, err
	}
	encrypt, err := c.encryption()
	if err != nil {
		return nil, err
	}
	p := &Payloads{retention: c.Blobs.Retention, log: log}
	if p.Masks, err = c.Masks.Load(); err != nil {
		return nil, err
	}
	if p.blobs, err = c.Blobs.open(); err != nil {
		return nil, err
	}
	var check payload.Codec
	if p.blobs != nil {
		if check, err = claimcheck.New(claimcheck.Config{
			Store: p.blobs, Threshold: c.Blobs.Threshold, MaxBytes: c.Blobs.MaxBytes,
		}); err != nil {
			return nil, err
		}
	}
	p.Codec = payload.Chain(schema, encrypt, check)
	return p, nil
}

// Mount adds what works in the background to a service.
func (p *Payloads) Mount(app *service.App) {
	if p.blobs != nil && p.retention > 0 {
		app.Add("blob collector", sweep.Every(collectEvery, "blobs", p.log, p.collect))
	}
}

// encryption returns the codec that encrypts, nil where nothing is to be.
func (c Config) encryption() (payload.Codec, error) {
	if c.Keyring == "" {
		return nil, nil //nolint:nilnil // a nil codec is one that does nothing
	}
	keys, err := encryption.OpenKeyring(c.Keyring)
	if err != nil {
		return nil, fmt.Errorf("PAYLOAD_KEYRING: %w", err)
	}
	return encryption.New(encryption.Config{
		Keys: keys, Topics: listed(c.EncryptTopics), Required: c.RequiredTopics, KeyLifetime: c.KeyLifetime,
	})
}

// listed is a list of topics as codecs take it: nil for all.
func listed(topics []string) []string {
	switch {
	case slices.Contains(topics, every):
		return nil
	case slices.Contains(topics, none):
		return []string{}
	}
	return topics
}
