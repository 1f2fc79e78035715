package kafka

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill.example/chassis/config"
)

// Config says how to reach the brokers. Its fields carry the environment variables' names.
type Config struct {
	// Brokers are the addresses to start from, host:port.
	Brokers []string `env:"KAFKA_BROKERS" envDefault:"127.0.0.1:19092"`
	// SecurityProtocol is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
	SecurityProtocol string `env:"KAFKA_SECURITY_PROTOCOL" envDefault:"PLAINTEXT"`
	SASLMechanism    string `env:"KAFKA_SASL_MECHANISM"`
	SASLUsername     string `env:"KAFKA_SASL_USERNAME"`
	// SASLPassword, if it is in the file of KAFKA_SASL_PASSWORD_FILE, is read again when that
	// changes; see FollowLogin.
	SASLPassword config.Secret `env:"KAFKA_SASL_PASSWORD"`
	// The TLS files, in PEM.
	SSLCALocation          string        `env:"KAFKA_SSL_CA_LOCATION"`
	SSLCertificateLocation string        `env:"KAFKA_SSL_CERTIFICATE_LOCATION"`
	SSLKeyLocation         string        `env:"KAFKA_SSL_KEY_LOCATION"`
	SSLKeyPassword         config.Secret `env:"KAFKA_SSL_KEY_PASSWORD"`
	// Properties are further librdkafka settings, name=value, which win over all others. Those that
	// a promise rests on are refused.
	Properties config.Secrets `env:"KAFKA_PROPERTIES"`

	fixedLogin bool // by LoginAs
}

// Validate returns all problems of the settings at once.
func (c Config) Validate() []error {
	var problems []error
	if len(c.Brokers) == 0 || slices.Contains(c.Brokers, "") {
		problems = append(problems, fmt.Errorf("KAFKA_BROKERS must list host:port, separated by commas"))
	}
	protocols := []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}
	if !slices.Contains(protocols, strings.ToUpper(c.SecurityProtocol)) {
		problems = append(problems, fmt.Errorf("KAFKA_SECURITY_PROTOCOL must be one of %s, not %q", strings.Join(protocols, ", "), c.SecurityProtocol))
	}
	if c.SASLPassword != "" && !strings.HasPrefix(strings.ToUpper(c.SecurityProtocol), "SASL_") {
		problems = append(problems, fmt.Errorf("KAFKA_SASL_PASSWORD is not used with KAFKA_SECURITY_PROTOCOL=%s; set SASL_SSL", c.SecurityProtocol))
	}
	return append(problems, validateProperties(c.Properties)...)
}

// Cautions implements config.Cautioner.
func (c Config) Cautions() []string {
	protocol := c.SecurityProtocol
	for _, property := range c.Properties {
		if name, value, _ := strings.Cut(property, "="); strings.TrimSpace(name) == "security.protocol" {
			protocol = strings.TrimSpace(value)
		}
	}
	if !strings.EqualFold(protocol, "SASL_PLAINTEXT") {
		return nil
	}
	return []string{"KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT: what logs in to the brokers, and every message, can be read on the way; set SASL_SSL"}
}

// common is what producers and consumers share.
func (c Config) common(clientID string) kafka.ConfigMap {
	m := kafka.ConfigMap{
		"bootstrap.servers": strings.Join(c.Brokers, ","),
		"client.id":         clientID,
		"security.protocol": strings.ToLower(c.SecurityProtocol),
		// A broker that returns is used within 0.4 s (a quarter and jitter), not within the ten of
		// librdkafka.
		"reconnect.backoff.ms":     50,
		"reconnect.backoff.max.ms": 250,
		// Topics are created on purpose, with the partitions that they need.
		"allow.auto.create.topics": false,
		"go.logs.channel.enable":   true,
		// Each line is logged by us, with our own time and level.
		"log.thread.name": false,
	}
	for name, value := range map[string]string{
		"sasl.mechanisms":          c.SASLMechanism,
		"sasl.username":            c.SASLUsername,
		"sasl.password":            c.password(),
		"ssl.ca.location":          c.SSLCALocation,
		"ssl.certificate.location": c.SSLCertificateLocation,
		"ssl.key.location":         c.SSLKeyLocation,
		"ssl.key.password":         string(c.SSLKeyPassword),
	} {
		if value != "" {
			m[name] = value
		}
	}
	return m
}

// with adds settings, and the operator's own last.
func (c Config) with(m, settings kafka.ConfigMap) *kafka.ConfigMap {
	maps.Copy(m, settings)
	for _, p := range c.Properties {
		name, value, _ := strings.Cut(p, "=")
		m[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return &m
}

// ProducerConfig returns the settings of an idempotent, ordered producer (KIP-98) with acks=all,
// which partitions as Java's producers do. more is added to them and may override them; log lines
// come on the producer's Logs channel, which has to be read (see [Logs]).
func (c Config) ProducerConfig(clientID string, more kafka.ConfigMap) *kafka.ConfigMap {
	m := c.common(clientID)
	maps.Copy(m, kafka.ConfigMap{
		"enable.idempotence": true,
		"acks":               "all",
		"partitioner":        "murmur2_random",
	})
	return c.with(m, more)
}

// consumerConfig returns the settings of a consumer whose offsets follow what was made durable.
func (c Config) consumerConfig(group, clientID string) *kafka.ConfigMap {
	return c.with(c.common(clientID), kafka.ConfigMap{
		"group.id":          group,
		"auto.offset.reset": "earliest",
		// What another producer's open transaction would hold back is read: nothing here writes in
		// Kafka transactions, and one that hangs in front of our messages must not stop them.
		"isolation.level": "read_uncommitted",
		// Offsets are stored by us once a batch is durable; librdkafka commits what is stored.
		"enable.auto.offset.store": false,
		"enable.auto.commit":       true,
		"auto.commit.interval.ms":  1000,
		// A rebalance takes away only the partitions that move (KIP-429).
		"partition.assignment.strategy": "cooperative-sticky",
		// The partitions of a killed process go to another within six seconds.
		"session.timeout.ms":    6000,
		"heartbeat.interval.ms": 1500,
		// A member that hangs loses its partitions after a minute; what one attempt may take is
		// half of that. It is also how long a broker waits, when a group is formed, for members
		// that do not rejoin.
		"max.poll.interval.ms": 60000,
		// Whether the group is being formed is in the statistics only.
		"statistics.interval.ms": 5000,
		// A topic that is created later is found within seconds.
		"topic.metadata.refresh.interval.ms": 10000,
		// Bound what is fetched ahead, and look again soon after the bound was reached.
		"queued.min.messages":        20000,
		"queued.max.messages.kbytes": 16384,
		"fetch.queue.backoff.ms":     10,
		// A broker keeps a fetch that finds nothing for so long, and a partition whose offset is
		// learned meanwhile waits for the next one: at a start the others came half a second late.
		"fetch.wait.max.ms":      100,
		"fetch.error.backoff.ms": 100,
	})
}
