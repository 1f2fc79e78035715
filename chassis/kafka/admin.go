package kafka

import (
	"maps"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// AdminConfig returns the settings of a client that asks about topics and creates them. It writes
// no log lines: what comes of a request is its answer.
func (c Config) AdminConfig(clientID string) *kafka.ConfigMap {
	config := c.with(c.common(clientID), kafka.ConfigMap{})
	maps.Copy(*config, kafka.ConfigMap{"go.logs.channel.enable": false, "log_level": 0})
	return config
}
