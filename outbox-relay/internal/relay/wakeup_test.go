package relay_test

import (
	"fmt"
	"testing"
	"time"

	"waybill/outbox-relay/internal/relay"
)

const flagSQL = `select sleeping from outbox_wakeup`

// Rows that come one by one are notified of; the flag is not turned for each, which would be two more writes a row.
func TestARelayThatSleepsGoesOnSleepingThroughSingleRows(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.relay(t, relay.Options{Fallback: time.Hour})
	await(t, func() bool { return one[bool](t, s, flagSQL) }, "the relay to sleep")
	const version = `select xmin::text from outbox_wakeup`
	before := one[string](t, s, version)
	for i := 1; i <= 20; i++ {
		s.insert(t, "k1", fmt.Sprint(i))
		s.broker.Consume(t, topic, i)
	}
	if after := one[string](t, s, version); after != before {
		t.Fatal("the sleeping flag was turned")
	}
}

func TestARelayWakesUpForManyRowsAndGoesToSleepAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.relay(t, relay.Options{Quiet: time.Second, Fallback: time.Hour})
	await(t, func() bool { return one[bool](t, s, flagSQL) }, "the relay to sleep")
	s.insertMany(t, 5, 100)
	await(t, func() bool { return !one[bool](t, s, flagSQL) }, "the relay to poll")
	s.broker.Consume(t, topic, 100)
	await(t, func() bool { return one[bool](t, s, flagSQL) }, "the relay to sleep again")
}
