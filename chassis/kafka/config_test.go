package kafka_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/chassis/kafka"
)

func TestSecuritySettingsPassThroughFromTheEnvironment(t *testing.T) { //nolint:paralleltest // it sets the environment
	for name, value := range map[string]string{
		"KAFKA_BROKERS":           "a:9092,b:9092",
		"KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
		"KAFKA_SASL_MECHANISM":    "SCRAM-SHA-512",
		"KAFKA_SASL_USERNAME":     "waybill",
		"KAFKA_SASL_PASSWORD":     "hunter2",
		"KAFKA_SSL_CA_LOCATION":   "/etc/ca.pem",
		"KAFKA_PROPERTIES":        "socket.keepalive.enable=true,compression.type=zstd",
	} {
		t.Setenv(name, value)
	}
	var c kafka.Config
	require.NoError(t, config.Load(&c))
	m := *c.ProducerConfig("id", nil)
	for name, want := range map[string]any{
		"bootstrap.servers":       "a:9092,b:9092",
		"security.protocol":       "sasl_ssl",
		"sasl.mechanisms":         "SCRAM-SHA-512",
		"sasl.username":           "waybill",
		"sasl.password":           "hunter2",
		"ssl.ca.location":         "/etc/ca.pem",
		"socket.keepalive.enable": "true",
		"compression.type":        "zstd", // the operator has the last word
		"acks":                    "all",  // but for what a promise rests on
		"partitioner":             "murmur2_random",
	} {
		require.Equal(t, want, m[name], name)
	}
	require.NotContains(t, config.Masked(c), "hunter2")
}

func TestEveryFaultOfTheSettingsIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	faults := kafka.Config{SecurityProtocol: "TLS", Properties: []string{"no equals sign"}}.Validate()
	text := errors.Join(faults...).Error()
	for _, name := range []string{"KAFKA_BROKERS", "KAFKA_SECURITY_PROTOCOL", "KAFKA_PROPERTIES"} {
		require.Contains(t, text, name)
	}
}

func TestConfig_RefusesPropertiesThatBreakAPromise(t *testing.T) {
	t.Parallel()
	for property, reason := range map[string]string{
		"acks=1":                                  "acks must stay all",
		"enable.idempotence=false":                "doubles and reorders",
		"enable.gapless.guarantee=false":          "behind one of their key",
		"max.in.flight=5":                         "overtaken",
		" message.timeout.ms = 30000":             "leaves a gap",
		"partitioner=random":                      "other partitions",
		"enable.auto.offset.store=true":           "were not applied",
		"enable.auto.commit=false":                "read everything again",
		"auto.offset.reset=latest":                "would be lost",
		"partition.assignment.strategy=range":     "single partitions",
		"group.id=mine":                           "consumer group's name",
		"go.delivery.reports=false":               "cannot be changed",
		"max.in.flight.requests.per.connection=1": "cannot be changed",
	} {
		faults := kafka.Config{Brokers: []string{"a:1"}, SecurityProtocol: "SSL", Properties: []string{property}}.Validate()
		require.Len(t, faults, 1, property)
		require.ErrorContains(t, faults[0], reason)
		require.ErrorContains(t, faults[0], "KAFKA_PROPERTIES")
	}
	for _, property := range []string{"acks=all", "group.instance.id=one", "isolation.level=read_committed", "session.timeout.ms=10000", "linger.ms=20"} {
		require.Empty(t, kafka.Config{Brokers: []string{"a:1"}, SecurityProtocol: "SSL", Properties: []string{property}}.Validate(), property)
	}
}

// As a service has its settings: inside its own.
func TestAnnounce_WarnsOfAPasswordOnAPlaintextConnection(t *testing.T) {
	t.Parallel()
	for protocol, warnings := range map[string]int{"PLAINTEXT": 0, "SASL_SSL": 0, "SASL_PLAINTEXT": 1, "sasl_plaintext": 1} {
		for _, c := range []kafka.Config{
			{SecurityProtocol: protocol, SASLPassword: "hunter2"},
			{SecurityProtocol: "SASL_SSL", SASLPassword: "hunter2", Properties: []string{"security.protocol = " + protocol}},
		} {
			var log bytes.Buffer
			config.Announce(slog.New(slog.NewTextHandler(&log, nil)), struct{ Kafka kafka.Config }{c})
			require.Equal(t, 1, strings.Count(log.String(), "msg=starting"))
			require.Equal(t, warnings, strings.Count(log.String(), "level=WARN"), log.String())
			require.NotContains(t, log.String(), "hunter2")
		}
	}
}
