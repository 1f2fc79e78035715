package relay_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/outbox-relay/internal/ops"
	"waybill.example/outbox-relay/internal/relay"
)

// refusePoison has the broker refuse every batch with the word poison in it.
func (s *stage) refusePoison(err *kerr.Error) *kfake.FaultHandle {
	return s.broker.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Err: err, Count: -1,
		When: func(r kmsg.Request) bool {
			for _, topic := range r.(*kmsg.ProduceRequest).Topics {
				for _, partition := range topic.Partitions {
					if bytes.Contains(partition.Records, []byte("poison")) {
						return true
					}
				}
			}
			return false
		},
	})
}

// Rows of many keys, each counted, are on their way when the broker refuses one row of every
// seventh key for good. All other keys arrive complete; of a key with a refused row arrives exactly
// what came before it, and the rest parks.
func TestARefusedRowIsNotOvertakenByLaterRowsOfItsKey(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]relay.Options{
		"small batches": {BatchRows: 50, InFlightRows: 500},
		"one batch":     {BatchRows: 10_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.refusePoison(kerr.InvalidRecord)
			const keys, n, bad = 21, 100, 40
			s.exec(t, `insert into outbox (topic, key, type, payload)
				select 'orders.v1', 'k' || k, 'Counted', convert_to(i || case when i = $3 and k % 7 = 0 then 'poison' else '' end, 'utf8')
				  from generate_series(1, $2::int) i, generate_series(1, $1::int) k order by i, k`, keys, n, bad)
			s.relay(t, options)
			s.drained(t)

			values := s.values(t, keys*n-3*(n-bad+1))
			for k := 1; k <= keys; k++ {
				key, want := fmt.Sprint("k", k), n
				if k%7 == 0 {
					want = bad - 1
				}
				requireCounted(t, map[string][]string{key: values[key]}, 1, want)
			}
			require.EqualValues(t, 3, one[int64](t, s, `select count(*) from outbox_stuck where error_code = 'INVALID_RECORD' and not parked`))
			require.EqualValues(t, 3*(n-bad), one[int64](t, s, `select count(*) from outbox_stuck where parked`))
			require.Equal(t, int64(0), one[int64](t, s, `select count(*) from outbox_status where status = 'pending'`))
		})
	}
}

// A batch that is too large as a whole is no reason to give up its rows: each is tried alone.
func TestRowsRefusedOnlyForTheirCompanyArePublished(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.MessageTooLarge, Count: 1})
	s.insertMany(t, 5, 20)
	s.relay(t, relay.Options{})
	requireCounted(t, s.values(t, 100), 5, 20)
	s.drained(t)
	require.Zero(t, one[int64](t, s, `select count(*) from outbox_stuck`))
}

func TestATopicThatDoesNotExistMakesItsRowsStuckAndNoOthers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `insert into outbox (topic, key, type, payload) values ('missing.v1', 'lost', 'T', '1')`)
	s.exec(t, `insert into outbox (topic, key, type, payload) values ('missing.v1', 'other', 'T', '1'), ('missing.v1', null, 'T', '1')`)
	s.insertMany(t, 2, 3)
	s.insert(t, "lost", "1")
	s.relay(t, relay.Options{})
	s.drained(t)
	values := s.values(t, 7)
	require.Equal(t, []string{"1"}, values["lost"], "Kafka keeps no order across topics, and nor do we")
	delete(values, "lost")
	requireCounted(t, values, 2, 3)
	require.Equal(t, "UNKNOWN_TOPIC", one[string](t, s, `select error_code from outbox_stuck where not parked`))
	require.EqualValues(t, 2, one[int64](t, s, `select count(*) from outbox_stuck where parked`), "all rows of the topic wait for its first")
}

func TestWhatCannotBeSentAtAllIsStuckAndNothingElse(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `insert into outbox (topic, key, type, payload) values ($1, 'large', 'T', convert_to(repeat('x', 2 * 1024 * 1024), 'utf8'))`, topic)
	s.exec(t, `alter table outbox drop constraint outbox_fits`)
	s.exec(t, `insert into outbox (topic, key, type, payload, headers) values ($1, 'headers', 'T', 'x', '{"a": 1}')`, topic)
	s.exec(t, `insert into outbox (topic, type, payload, headers) values ($1, 'T', 'x', '{"a": ["b"]}')`, topic)
	s.insertMany(t, 2, 3)
	s.relay(t, relay.Options{})
	s.drained(t)
	requireCounted(t, s.values(t, 6), 2, 3)
	require.Equal(t, "MSG_SIZE_TOO_LARGE", one[string](t, s, `select error_code from outbox_stuck where key = 'large'`))
	require.EqualValues(t, 2, one[int64](t, s, `select count(*) from outbox_stuck where error_code = 'BAD_HEADERS'`))
}

func TestThousandsOfKeysCanBeStuckAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.refusePoison(kerr.InvalidRecord)
	s.exec(t, `insert into outbox (topic, key, type, payload) select 'orders.v1', 's' || i, 'T', 'poison' from generate_series(1, 2000) i`)
	s.insertMany(t, 3, 5)
	s.relay(t, relay.Options{})
	requireCounted(t, s.values(t, 15), 3, 5)
	s.drained(t)
	require.EqualValues(t, 2000, one[int64](t, s, `select count(*) from outbox_stuck where not parked`))
}

// A topic that is refused as a whole is one entry, whatever the number of its keys, and its rows
// flow in bulk once one of them is taken.
func TestATopicThatWasRefusedIsOneEntryAndFlowsAgainInBulk(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const keys, n = 10_000, 3
	s.exec(t, `insert into outbox (topic, key, type, payload)
		select 'missing.v1', 'k' || k, 'Counted', convert_to(i::text, 'utf8') from generate_series(1, $2::int) i, generate_series(1, $1::int) k order by i, k`, keys, n)
	s.insertMany(t, 3, 5)
	s.relay(t, relay.Options{})
	requireCounted(t, s.values(t, 15), 3, 5)
	s.drained(t)
	require.EqualValues(t, 1, one[int64](t, s, `select count(*) from outbox_stuck where not parked`))
	stuck, err := s.ops(t).Stuck(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, stuck, 1)
	require.EqualValues(t, keys*n-1, stuck[0].ParkedBehind)

	s.broker.CreateTopics(t, 3, "missing.v1")
	_, err = s.ops(t).RetryAll(t.Context(), operator, ops.StuckFilter{})
	require.NoError(t, err)
	began := time.Now()
	await(t, func() bool { return s.stuck(t) == 0 }, "no row to be stuck")
	t.Logf("%d rows in %v", keys*n, time.Since(began))
	requireCounted(t, firsts(s.broker.All(t, "missing.v1")), keys, n)
}
