// Package kafka connects a service to Kafka through librdkafka (confluent-kafka-go): settings from
// the environment, a [Consumer] that hands over messages in batches and never loses one, and the
// settings of a producer that keeps order.
//
// A broker that is away, at start-up or later, is waited for and reported, never fatal.
package kafka
