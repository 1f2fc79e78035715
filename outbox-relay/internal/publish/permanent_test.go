package publish

import (
	"errors"
	"strings"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stretchr/testify/require"
)

// librdkafka ends the process at a name of more than 512 bytes, so it is never asked.
func TestBadName_RefusesWhatKafkaCannotName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"orders.v1", "a", strings.Repeat("x", 249), "A_b-c.1"} {
		require.Nil(t, badName(name), name)
	}
	for _, name := range []string{"", ".", "..", strings.Repeat("x", 250), strings.Repeat("€", 171), "a b", "a/b", "ü"} {
		refused := badName(name)
		require.NotNil(t, refused, name)
		require.Equal(t, "INVALID_TOPIC", refused.Code)
		require.True(t, refused.WholeTopic)
	}
}

func TestRejection_IsAboutTheRowAndNotAboutProducerOrTime(t *testing.T) {
	t.Parallel()
	for code, want := range map[kafka.ErrorCode]string{
		kafka.ErrMsgSizeTooLarge:            "MSG_SIZE_TOO_LARGE",
		kafka.ErrUnknownTopicOrPart:         "UNKNOWN_TOPIC",
		kafka.ErrTopicAuthorizationFailed:   "TOPIC_AUTHORIZATION_FAILED",
		kafka.ErrInvalidRequest:             "BROKER_ERROR_42",
		kafka.ErrNotEnoughReplicas:          "",
		kafka.ErrClusterAuthorizationFailed: "",
		kafka.ErrOutOfOrderSequenceNumber:   "",
		kafka.ErrPurgeQueue:                 "",
		kafka.ErrFatal:                      "",
	} {
		refused := PermanentByRepetition("t", kafka.NewError(code, "", false))
		if want == "" {
			require.Nil(t, refused, code.String())
			continue
		}
		require.NotNil(t, refused, code.String())
		require.Equal(t, want, refused.Code)
	}
	require.Nil(t, PermanentByRepetition("t", errors.New("something else")))
}
