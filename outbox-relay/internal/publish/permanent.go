package publish

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// PermanentError is a broker's or the client's answer that sending the same row again will not
// change.
type PermanentError struct {
	// Code is short and stable, for scripts, such as MSG_SIZE_TOO_LARGE.
	Code string
	// Reason is for people.
	Reason string
	// WholeTopic says that every row of the topic would be refused.
	WholeTopic bool
}

func (r *PermanentError) Error() string { return r.Reason }

// ConfigError is an error of the Kafka settings: no broker has been asked yet.
type ConfigError struct{ error }

func (e *ConfigError) Unwrap() error { return e.error }

func configError(err error) error { return &ConfigError{err} }

// UnknownTopic is the refusal of rows for a topic that is not there.
func UnknownTopic(topic string) *PermanentError {
	return &PermanentError{
		Code:       "UNKNOWN_TOPIC",
		Reason:     "topic " + topic + " does not exist; create it, and the row is sent at its next attempt",
		WholeTopic: true,
	}
}

// NotAllowed is the refusal of rows for a topic that the settings keep the database from.
func NotAllowed(topic string) *PermanentError {
	return &PermanentError{
		Code:       "TOPIC_NOT_ALLOWED",
		Reason:     "RELAY_TOPICS does not allow this database topic " + topic + "; allow it, start the relay again and retry, or discard the row",
		WholeTopic: true,
	}
}

// TooLarge is the refusal of a row that is longer than the client sends.
func TooLarge(length, limit int) *PermanentError {
	return &PermanentError{Code: codeTooLarge, Reason: fmt.Sprintf("the row has %d bytes, and message.max.bytes is %d", length, limit)}
}

// IsTooLarge says whether a refusal is for size, which may be that of all rows in the request.
func (r *PermanentError) IsTooLarge() bool { return r.Code == codeTooLarge }

const codeTooLarge = "MSG_SIZE_TOO_LARGE"

var (
	unknownTopic = []kafka.ErrorCode{kafka.ErrUnknownTopic, kafka.ErrUnknownTopicOrPart, kafka.ErrUnknownPartition}
	topicRefused = map[kafka.ErrorCode]string{
		kafka.ErrTopicAuthorizationFailed: "TOPIC_AUTHORIZATION_FAILED",
		kafka.ErrTopicException:           "INVALID_TOPIC",
	}
	rowRefused = map[kafka.ErrorCode]string{
		kafka.ErrMsgSizeTooLarge:             codeTooLarge,
		kafka.ErrInvalidMsgSize:              "INVALID_MSG_SIZE",
		kafka.ErrRecordListTooLarge:          "RECORD_LIST_TOO_LARGE",
		kafka.ErrInvalidRecord:               "INVALID_RECORD",
		kafka.ErrInvalidTimestamp:            "INVALID_TIMESTAMP",
		kafka.ErrPolicyViolation:             "POLICY_VIOLATION",
		kafka.ErrUnsupportedForMessageFormat: "UNSUPPORTED_FOR_MESSAGE_FORMAT",
	}
	// What a broker has against the producer, whatever it sends, and what is transient.
	notTheRow = []kafka.ErrorCode{
		kafka.ErrClusterAuthorizationFailed, kafka.ErrSaslAuthenticationFailed,
		kafka.ErrOutOfOrderSequenceNumber, kafka.ErrDuplicateSequenceNumber, kafka.ErrUnknownProducerID,
		kafka.ErrInvalidProducerEpoch, kafka.ErrInvalidProducerIDMapping, kafka.ErrProducerFenced,
		kafka.ErrNotEnoughReplicas, kafka.ErrNotEnoughReplicasAfterAppend, kafka.ErrNotLeaderForPartition, kafka.ErrLeaderNotAvailable,
		kafka.ErrRequestTimedOut, kafka.ErrNetworkException, kafka.ErrBrokerNotAvailable, kafka.ErrReplicaNotAvailable,
		kafka.ErrKafkaStorageError, kafka.ErrThrottlingQuotaExceeded, kafka.ErrFencedLeaderEpoch, kafka.ErrUnknownLeaderEpoch,
		kafka.ErrInvalidMsg,
	}
)

// refusal returns err as a *PermanentError of a row for topic, or nil if sending again may help.
func permanent(topic string, err error) *PermanentError {
	if refused, ok := errors.AsType[*PermanentError](err); ok {
		return refused
	}
	var failure kafka.Error
	if !errors.As(err, &failure) {
		return nil
	}
	if slices.Contains(unknownTopic, failure.Code()) {
		return UnknownTopic(topic)
	}
	if code, ok := topicRefused[failure.Code()]; ok {
		return &PermanentError{Code: code, Reason: failure.Error() + " (topic " + topic + ")", WholeTopic: true}
	}
	if code, ok := rowRefused[failure.Code()]; ok {
		return &PermanentError{Code: code, Reason: failure.Error()}
	}
	return nil
}

// rejection also takes a code for a refusal that is in no list: librdkafka has sent again by itself
// what that helps. It is for requests that have failed again and again.
func byRepetition(topic string, err error) *PermanentError {
	if refused := permanent(topic, err); refused != nil {
		return refused
	}
	var failure kafka.Error
	if !errors.As(err, &failure) || failure.Code() <= 0 || slices.Contains(notTheRow, failure.Code()) {
		return nil // codes below zero are the client's own
	}
	return &PermanentError{Code: fmt.Sprintf("BROKER_ERROR_%d", failure.Code()), Reason: failure.Error()}
}

// PermanentByRepetition returns err, which a row was answered with, as a *PermanentError, even if
// its code is in no list, and nil if it says nothing about the row.
func PermanentByRepetition(topic string, err error) *PermanentError { return byRepetition(topic, err) }

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// badName refuses what librdkafka must not be asked about: a name of more than 512 bytes ends the
// process.
func badName(topic string) *PermanentError {
	if topicName.MatchString(topic) && topic != "." && topic != ".." {
		return nil
	}
	return &PermanentError{Code: "INVALID_TOPIC", Reason: "a topic's name has 1 to 249 letters, digits, '.', '_' and '-'", WholeTopic: true}
}
