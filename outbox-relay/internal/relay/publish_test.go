package relay_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/kafkatest"
	"waybill.example/outbox-relay/internal/relay"
)

func TestARowArrivesAsACloudEvent(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `insert into outbox (event_id, topic, key, type, payload, headers, created_at) values
		('0199b3a2-7d5e-7cc0-8000-000000000001', $1, '17', 'OrderCreated', '{"orderId":17}',
		 '{"traceparent": "00-aa-bb-01", "odd \"name\"": "ü", "ce_id": "forged"}', '2026-11-23T10:00:00.5+02')`, topic)
	s.relay(t, relay.Options{})
	got := s.broker.Consume(t, topic, 1)[0]
	want := kafkatest.Record{
		Topic: topic, Key: []byte("17"), Value: []byte(`{"orderId":17}`),
		Headers: map[string]string{
			"ce_specversion": "1.0", "ce_id": "0199b3a2-7d5e-7cc0-8000-000000000001", "ce_source": "/waybill/orders",
			"ce_type": "OrderCreated", "ce_time": "2026-11-23T08:00:00.5Z", "content-type": "application/json",
			"traceparent": "00-aa-bb-01", `odd "name"`: "ü",
		},
	}
	require.Empty(t, cmp.Diff(want, got, cmpopts.IgnoreFields(kafkatest.Record{}, "Partition", "Offset", "Time")))
	s.drained(t)
}

func TestARowMayNameItsContentType(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `insert into outbox (topic, type, payload, headers) values ($1, 'T', 'x', '{"content-type": "application/avro"}')`, topic)
	s.relay(t, relay.Options{})
	got := s.broker.Consume(t, topic, 1)[0]
	require.Equal(t, "application/avro", got.Headers["content-type"])
	require.Nil(t, got.Key, "a null key stays null")
}

func TestABacklogArrivesInTheOrderOfEachKey(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insertMany(t, 100, 100)
	s.relay(t, relay.Options{BatchRows: 777, InFlightRows: 2000})
	requireCounted(t, s.values(t, 10_000), 100, 100)
	s.drained(t)
	require.Len(t, s.broker.All(t, topic), 10_000, "nothing failed, so nothing was sent twice")
}

func TestAnEmptyPayloadIsNotATombstone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insert(t, "1", "")
	s.relay(t, relay.Options{})
	got := s.broker.Consume(t, topic, 1)[0]
	require.NotNil(t, got.Value)
	require.Empty(t, got.Value)
}

func TestLongPayloadsKeepTheirPlaceAndTheMemoryBound(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `insert into outbox (topic, key, type, payload)
		select $1, 'k' || i % 7, 'T', convert_to(i || case when i % 10 = 0 then repeat('x', 100000) else '' end, 'utf8') from generate_series(1, 500) i`, topic)
	s.relay(t, relay.Options{InFlightBytes: 300_000})
	values := s.values(t, 500)
	for k := range 7 {
		last := 0
		for _, value := range values[fmt.Sprint("k", k)] {
			var i int
			_, err := fmt.Sscanf(value, "%d", &i)
			require.NoError(t, err)
			require.Greater(t, i, last, "order of key k%d", k)
			last = i
		}
	}
	s.drained(t)
}

func TestARowIsPublishedSoonWhetherTheRelayPollsOrSleeps(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.relay(t, relay.Options{Quiet: 50 * time.Millisecond, Fallback: time.Hour})
	for i := 1; i <= 3; i++ {
		await(t, func() bool { return one[bool](t, s, sleepsSQL) }, "the relay to sleep")
		s.insert(t, "k1", fmt.Sprint(i)) // only the notification can wake it: the fallback is hours away
		s.broker.Consume(t, topic, i)
	}
}
