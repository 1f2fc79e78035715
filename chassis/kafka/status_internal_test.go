package kafka

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stretchr/testify/require"
)

const (
	forming = `{"cgrp": {"state": "up", "join_state": "wait-join"}}`
	steady  = `{"cgrp": {"state": "up", "join_state": "steady"}}`
)

// A member without a partition is idle where there are more members than partitions, and in trouble
// where its group does not come about.
func TestStatus_SaysThatAGroupIsNotFormed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		s := newStatus(slog.New(slog.NewTextHandler(&lines, nil)))
		s.statistics(steady)
		<-time.After(time.Minute)
		require.NoError(t, s.ready(), "idle")
		for range 2 {
			s.statistics(forming)
			<-time.After(20 * time.Second)
		}
		require.ErrorContains(t, s.ready(), "no partitions for 40 s: the consumer group is being formed")
		s.statistics(forming)
		s.statistics(forming)
		require.Equal(t, 1, strings.Count(lines.String(), "its group is being formed"))

		topic := "t"
		s.assigned([]kafka.TopicPartition{{Topic: &topic}})
		s.statistics(forming)
		require.NoError(t, s.ready(), "it reads, and others join")
	})
}
