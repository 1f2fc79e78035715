package kafka_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/kafka"
	"waybill.example/devstack/kafkatest"
	"waybill.example/sdk/inbox"
)

func TestLookup_ReadsSingleRecordsByTheirPlace(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic", "other")
	var records []kafkatest.Record
	for i := range 20 {
		records = append(records, kafkatest.Record{Topic: "topic", Key: []byte("k"), Value: []byte(strconv.Itoa(i)), Headers: map[string]string{"ce_id": strconv.Itoa(i)}})
	}
	b.Produce(t, append(records, kafkatest.Record{Topic: "other", Key: []byte("k"), Value: []byte("other")})...)
	partition := func(topic string) inbox.Partition {
		return inbox.Partition{Topic: topic, Partition: b.All(t, topic)[0].Partition}
	}
	at := func(topic string, offset int64) kafka.Place {
		return kafka.Place{Partition: partition(topic), Offset: offset}
	}
	l := kafka.NewLookup(kafka.Config{Brokers: []string{b.Addr()}, SecurityProtocol: "PLAINTEXT"}, "test")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	found, err := l.Read(ctx, at("topic", 3), at("topic", 17), at("topic", 3), at("other", 0))
	require.NoError(t, err)
	require.Len(t, found, 3)
	require.Equal(t, "17", string(found[at("topic", 17)].Value))
	require.Equal(t, "3", string(found[at("topic", 3)].Value))
	require.Equal(t, "other", string(found[at("other", 0)].Value))
	require.WithinDuration(t, time.Now(), found[at("other", 0)].Time, time.Minute)
	require.False(t, found[at("other", 0)].Appended)

	// What is not there yet, or not there at all, is left out.
	found, _ = l.Read(ctx, at("topic", 20), at("topic", 4711), at("other", 0))
	require.Len(t, found, 1, "%v", found)
	gone := kafka.Place{Partition: inbox.Partition{Topic: "nowhere", Partition: 0}, Offset: 1}
	found, err = l.Read(ctx, gone)
	require.Empty(t, found)
	require.NoError(t, err)
	require.NoError(t, ctx.Err(), "and none of it takes long")
}
