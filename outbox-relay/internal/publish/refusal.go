package publish

import (
	"errors"
	"slices"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Refusal is a broker's or the client's answer that sending the same row again will not change.
type Refusal struct {
	// Code is short and stable, for scripts, such as MSG_SIZE_TOO_LARGE.
	Code string
	// Reason is for people.
	Reason string
	// WholeTopic says that every row of the topic would be refused.
	WholeTopic bool
}

func (r *Refusal) Error() string { return r.Reason }

// UnknownTopic is the refusal of rows for a topic that is not there.
func UnknownTopic(topic string) *Refusal {
	return &Refusal{
		Code:       "UNKNOWN_TOPIC",
		Reason:     "topic " + topic + " does not exist; create it, and the row is sent at its next attempt",
		WholeTopic: true,
	}
}

var (
	unknownTopic = []kafka.ErrorCode{kafka.ErrUnknownTopic, kafka.ErrUnknownTopicOrPart, kafka.ErrUnknownPartition}
	topicRefused = map[kafka.ErrorCode]string{
		kafka.ErrTopicAuthorizationFailed: "TOPIC_AUTHORIZATION_FAILED",
		kafka.ErrTopicException:           "INVALID_TOPIC",
	}
	rowRefused = map[kafka.ErrorCode]string{
		kafka.ErrMsgSizeTooLarge:             "MSG_SIZE_TOO_LARGE",
		kafka.ErrInvalidMsgSize:              "INVALID_MSG_SIZE",
		kafka.ErrInvalidRecord:               "INVALID_RECORD",
		kafka.ErrInvalidTimestamp:            "INVALID_TIMESTAMP",
		kafka.ErrPolicyViolation:             "POLICY_VIOLATION",
		kafka.ErrUnsupportedForMessageFormat: "UNSUPPORTED_FOR_MESSAGE_FORMAT",
	}
)

// refusal returns err as a *Refusal of a row for topic, or nil if sending again may help.
func refusal(topic string, err error) *Refusal {
	if refused, ok := errors.AsType[*Refusal](err); ok {
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
		return &Refusal{Code: code, Reason: failure.Error() + " (topic " + topic + ")", WholeTopic: true}
	}
	if code, ok := rowRefused[failure.Code()]; ok {
		return &Refusal{Code: code, Reason: failure.Error()}
	}
	return nil
}
