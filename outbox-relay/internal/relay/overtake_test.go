package relay_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"waybill.example/devstack/kafkatest"
	"waybill.example/outbox-relay/internal/relay"
)

// Each row is so long that it has a request of its own, and librdkafka makes the next request while
// the one before it is under way. The first row of a partition is refused. A broker that knows
// nothing yet of a producer takes any sequence number from it, so it would take the second request,
// with the rows that have to wait for the first.
func TestARefusedRowIsNotOvertakenByARequestThatWasMadeBehindIt(t *testing.T) {
	t.Parallel()
	for round := range 3 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.refusePoison(kerr.InvalidRecord)
			s.exec(t, `insert into outbox (topic, key, type, payload)
				select $1, 'long', 'Counted', convert_to(i || repeat(' ', 600000) || case i when 1 then 'poison' else '' end, 'utf8')
				  from generate_series(1, 6) i order by i`, topic)
			s.broker.Produce(t, kafkatest.Record{Topic: topic, Key: []byte("long"), Value: []byte("of another producer")})
			s.relay(t, relay.Options{})
			await(t, func() bool { return s.stuck(t) == 6 }, "the row to be stuck and its followers to be parked")
			s.drained(t)
			require.Len(t, s.broker.All(t, topic), 1, "rows have overtaken the refused one")
		})
	}
}
