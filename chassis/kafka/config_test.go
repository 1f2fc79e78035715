package kafka_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill/chassis/config"
	"waybill/chassis/kafka"
)

func TestSecuritySettingsPassThroughFromTheEnvironment(t *testing.T) { //nolint:paralleltest // it sets the environment
	for name, value := range map[string]string{
		"KAFKA_BROKERS":           "a:9092,b:9092",
		"KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
		"KAFKA_SASL_MECHANISM":    "SCRAM-SHA-512",
		"KAFKA_SASL_USERNAME":     "waybill",
		"KAFKA_SASL_PASSWORD":     "hunter2",
		"KAFKA_SSL_CA_LOCATION":   "/etc/ca.pem",
		"KAFKA_PROPERTIES":        "socket.keepalive.enable=true,acks=1",
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
		"acks":                    "1", // the operator has the last word
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
