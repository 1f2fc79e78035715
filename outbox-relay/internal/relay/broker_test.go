package relay_test

import (
	"testing"

	"waybill.example/outbox-relay/internal/relay"
)

// The alert on broker_up = 0 must not fire on a relay that has nothing to complain of.
func TestBrokerUp_IsOneWhileABrokerAnswers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.relay(t, relay.Options{})
	await(t, func() bool { return r.gauge(t, "broker_up") == 1 }, "broker_up of an idle relay")
	s.broker.Stop()
	s.insert(t, "k1", "1")
	await(t, func() bool { return r.gauge(t, "broker_up") == 0 }, "broker_up of a relay whose broker is down")
	s.broker.Start(t)
	await(t, func() bool { return r.gauge(t, "broker_up") == 1 }, "broker_up of a relay whose broker is back")
}
