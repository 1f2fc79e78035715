package audit_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/kafkatest"
	"waybill.example/drills/audit"
	"waybill.example/drills/load"
)

func TestASoundSystemPasses(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.place(1, true)
	w.place(2, false)
	w.place(3, true)
	w.settle()
	report := pass(t, w.auditor())
	require.Empty(t, report.Findings())
	require.True(t, report.Passed())
	require.Zero(t, report.Open)
	looked := map[audit.Check]int64{}
	for _, c := range report.Checks {
		require.NotEmpty(t, c.Promise)
		looked[c.Check] = c.Looked
	}
	require.Equal(t, map[audit.Check]int64{
		audit.Accepted: 3, audit.Placed: 3, audit.Announced: 3, audit.Terminal: 3, audit.Reserved: 3, audit.Agreed: 3, audit.Stock: 1,
		audit.Delivered: 15, audit.Handled: 15, audit.Once: 6, audit.Ordered: 3, audit.Origin: 0, audit.Unhealthy: 0,
	}, looked, "a check that looks at nothing proves nothing")
}

// violation is one way in which a system can be unsound: what spoils an order that was placed, and
// which check has to name it, about what.
// held changes what is reserved for an order, and the stock so that it still adds up.
// newest returns the name of the newest row of an outbox.
const (
	anyOrder  = true
	confirmed = true
	cancelled = false
)

// Every kind of violation is planted in one system, each on an order of its own. Each has to be
// named by its check, about its subject, and nothing else may be.
// about compares subjects; one that ends in a slash stands for any place on a topic.
// named leaves out what changes with time.
// The second pass begins where the first has ended: it finds what went wrong in between, and sees
// that what was open has come to its end.
func TestALaterPassSeesWhatIsNewAndWhatWasMended(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.cfg.Limits = audit.Limits{Settle: time.Minute, Overdue: 10 * time.Minute}
	w.place(1, true)
	a := w.auditor()
	first := pass(t, a)
	require.Empty(t, first.Findings())
	require.Equal(t, 1, first.Open, "an order that has just changed is not judged")

	w.settle()
	w.sql("inventory", "update reservations set state = 'RELEASED'")
	w.sql("inventory", "update stock set on_hand = on_hand + 1")
	w.place(2, true)
	second := pass(t, a)
	require.Len(t, second.Findings(), 1)
	require.Equal(t, audit.Reserved, second.Findings()[0].Check)

	w.sql("inventory", "update reservations set state = 'RESERVED' where order_id = 1")
	w.sql("inventory", "update stock set on_hand = on_hand - 1")
	w.settle()
	a.Forget()
	third := pass(t, a)
	require.Empty(t, third.Findings())
	require.Zero(t, third.Open)
}

// A replay puts messages on the topics again; that is what it is for, and no cause for alarm.
func TestAMessageThatComesAgainIsNoViolation(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.place(1, true)
	w.settle()
	again := func() {
		for _, topic := range contracts.Topics() {
			w.broker.Produce(t, w.broker.All(t, topic)...)
		}
	}
	again()
	a := w.auditor()
	require.Empty(t, pass(t, a).Findings())
	for _, db := range []string{"orders", "inventory", "orchestrator"} {
		w.sql(db, "update outbox set created_at = created_at - interval '1 hour'")
	}
	pass(t, a)
	a.Forget()
	again()
	require.Empty(t, pass(t, a).Findings(), "also when the audit has forgotten the row")
}

// Retention takes rows, messages and sagas away, each after a time of its own. What is left must
// not look as if the rest had been lost.
func TestWhatHasExpiredIsNotMissed(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	old := w.place(1, true)
	const sure = 50 * time.Millisecond // clocks of two servers
	<-time.After(sure)
	w.place(2, true)
	w.settle()
	w.sql("orders", "update orders set created_at = created_at - interval '1 day' where id = $1", old)
	// The rows and the saga of the first are gone, its messages are not.
	w.sql("orders", "delete from outbox where key = $1", fmt.Sprint(old))
	w.sql("orchestrator", "delete from sagas where id = $1", fmt.Sprint(old))
	require.Empty(t, pass(t, w.auditor()).Findings())

	// The messages of the first are gone, and the rows of another database are not.
	w.forget(fmt.Sprint(old))
	w.sql("orchestrator", "update outbox set created_at = created_at - interval '1 day' where key = $1", fmt.Sprint(old))
	w.sql("inventory", "update outbox set created_at = created_at - interval '1 day' where key = $1", fmt.Sprint(old))
	require.Empty(t, pass(t, w.auditor()).Findings())
}

func TestWhatIsExpectedIsNotReported(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.place(1, true)
	w.settle()
	violations["a dead letter"].spoil(w, 1)
	violations["a message from nowhere"].spoil(w, 1)
	w.cfg.Expected = func(key, topic string) bool { return key == "1" && topic == contracts.TopicOrderCommands }
	w.cfg.Foreign = func(id uuid.UUID, _ string) bool { return id != uuid.Nil }
	require.Empty(t, pass(t, w.auditor()).Findings())
}

func TestTopicsThatCameBackEmptyAreReadAnew(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.place(1, true)
	w.settle()
	a := w.auditor()
	require.Empty(t, pass(t, a).Findings())
	w.broker = kafkatest.Start(t, contracts.Topics()...)
	w.cfg.Brokers = []string{w.broker.Addr()}
	report := pass(t, w.auditor())
	missing := 0
	for _, f := range report.Findings() {
		require.Equal(t, audit.Delivered, f.Check)
		missing += f.Count
	}
	require.Equal(t, 5, missing, "every row")
	require.Len(t, report.Findings(), 4, "one for each outbox and topic")
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := audit.New(t.Context(), audit.Config{})
	require.EqualError(t, err, `the audit needs the database "orders"`)
	_, err = audit.New(t.Context(), audit.Config{Databases: map[string]string{
		"orders": "postgres://u:secret@127.0.0.1:1/x", "inventory": "postgres://u:secret@127.0.0.1:1/x", "orchestrator": "postgres://u:secret@127.0.0.1:1/x",
	}})
	require.ErrorContains(t, err, `the database "orders" does not answer`)
	require.NotContains(t, fmt.Sprint(err), "secret")
}

// A database that was taken back lacks the rows of what it has published since, and of nothing
// else.
func TestAuditor_WhatWasPublishedInAPeriodThatWasTakenBackNeedsNoRow(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	id := w.place(1, true)
	record, err := contracts.Encode(contracts.ConfirmOrder{Envelope: envelope(id, uuid.Nil)})
	require.NoError(t, err)
	w.publish(record)
	w.settle()
	now := time.Now()
	for name, c := range map[string]struct {
		restored audit.Restored
		found    int
	}{
		"in the period":       {audit.Restored{Database: "orchestrator", From: now.Add(-time.Minute), To: now.Add(time.Minute)}, 0},
		"before it":           {audit.Restored{Database: "orchestrator", From: now.Add(time.Minute), To: now.Add(time.Hour)}, 1},
		"after it":            {audit.Restored{Database: "orchestrator", From: now.Add(-time.Hour), To: now.Add(-time.Minute)}, 1},
		"of another database": {audit.Restored{Database: "orders", From: now.Add(-time.Minute), To: now.Add(time.Minute)}, 1},
	} {
		w.cfg.Restored = []audit.Restored{c.restored}
		require.Len(t, pass(t, w.auditor()).Findings(), c.found, name)
	}
}

// An order that its operator knows to be in no message is missed no more; any other is.
func TestAuditor_KnowsWhichOrdersAreGone(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.claim(1000, 4711, 1)
	w.claim(1001, 4712, 1)
	w.settle()
	w.cfg.Gone = map[int64]bool{4711: true}
	report := pass(t, w.auditor())
	require.Equal(t, 1, report.Gone)
	require.Len(t, report.Findings(), 1)
	require.Equal(t, "order 4712", report.Findings()[0].Subject)
}

// A database that was taken back has forgotten keys: a request that was sent again across that
// moment may be two orders, and one that was sent again after it may not.
func TestAuditor_KnowsWhenKeysWereForgotten(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lost  time.Duration // from now
		found int
	}{"across the moment": {-time.Second, 0}, "before it": {time.Hour, 1}, "after it": {-2 * time.Hour, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.cfg.Restored = []audit.Restored{{Database: "orders", To: time.Now().Add(c.lost)}}
			id := w.carry(1, true)
			other := w.carry(1, true)
			w.sql("orders", "update orders set user_id = $1", user(id))
			for attempt, sent := range []time.Duration{-time.Hour, 0} {
				w.enter(load.Entry{
					N: id, UserID: user(id), Key: user(id), Attempt: attempt + 1, SKU: "burger", Quantity: 1,
					Sent: time.Now().Add(sent), Done: time.Now().Add(sent), Status: 202, OrderID: []int64{id, other}[attempt],
				})
			}
			w.settle()
			findings := slices.DeleteFunc(pass(t, w.auditor()).Findings(), func(f audit.Finding) bool { return f.Check != audit.Placed || f.Subject != "request of "+user(id) })
			require.Len(t, findings, c.found)
		})
	}
}
