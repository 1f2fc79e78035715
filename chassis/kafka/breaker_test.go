package kafka_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/kafkatest"
	"waybill.example/sdk/inbox"
)

var errConstraint = errors.New("violates a check")

func refuseBad(m inbox.Delivery) error {
	if strings.HasSuffix(string(m.Key), "-bad") {
		return errConstraint
	}
	return nil
}

// traffic produces messages, each of a key of its own, the numbers from first up to end. Those
// that bad chooses cannot be applied.
func traffic(t *testing.T, b *kafkatest.Broker, first, end int, bad func(int) bool) {
	t.Helper()
	var records []kafkatest.Record
	for i := first; i < end; i++ {
		key := fmt.Sprintf("k%d", i)
		if bad(i) {
			key += "-bad"
		}
		records = append(records, kafkatest.Record{Topic: "topic", Key: []byte(key), Value: []byte(key), Headers: map[string]string{"ce_type": "T"}})
	}
	b.Produce(t, records...)
}

// One message in forty fails, all of them alike, and the others go through: the fault is in the
// messages, also where many of them are held, and after some in a row have opened the breaker.
// Nothing that succeeds waits for them.
func TestConsumer_SetsAsideWhatFailsAlikeAmongMessagesThatDoNot(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t)
	b.CreateTopics(t, 1, "topic")
	l := newLedger()
	l.refuse = refuseBad
	traffic(t, b, 0, 1600, func(i int) bool { return i%40 == 0 })
	traffic(t, b, 1600, 1610, func(int) bool { return true })
	consume(t, b.Addr(), l)
	sent, bad := 1610, 50
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ; sent < 2010; sent++ {
		<-tick.C
		traffic(t, b, sent, sent+1, func(i int) bool { return i%40 == 0 })
		if sent%40 == 0 {
			bad++
		}
	}
	l.await(t, "the good ones applied, the others set aside", func(l *ledger) bool {
		return len(l.rejected) == bad && len(l.distinct()) == sent-bad
	})
	require.Len(t, l.applied, sent-bad)
}
