package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

// picky refuses the messages that say "refuse" for as long as told to, and applies the others.
func picky(e *effects, refuses *bool) *inbox.Processor[string, int64] {
	p := e.processor()
	p.Apply = func(_ context.Context, tx *inbox.Tx, _ *int64, batch []inbox.Received[string]) ([]outbox.Message, error) {
		var replies []outbox.Message
		for i, m := range batch {
			if m.Message == "refuse" && *refuses {
				tx.Reject(i, errors.New("no such order"))
				continue
			}
			tx.Last.Queue("insert into effect values ($1)", m.Message)
			replies = append(replies, outbox.Message{Topic: "replies", Type: "Done"})
		}
		return replies, nil
	}
	return p
}

// What Apply refuses is set aside once, and the rest of its batch takes effect. Sent again from
// another place after the repair, it takes effect once: it was not recorded under its own id.
func TestProcessor_AMessageThatApplyRefusedTakesEffectWhenItIsSentAgainAfterTheRepair(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	refuses := true
	p := picky(e, &refuses)
	var last inbox.Outcome
	p.Observe = func(o inbox.Outcome) { last = o }
	batch := []inbox.Delivery{delivery(1, "a"), delivery(2, "refuse"), delivery(3, "b"), delivery(4, "garbage")}
	require.NoError(t, p.Process(t.Context(), batch))
	require.Equal(t, inbox.Outcome{Applied: 2, DeadLettered: 2}, last)
	require.NoError(t, p.Process(t.Context(), batch), "delivered again from the same place")
	require.Equal(t, inbox.Outcome{Duplicates: 4}, last)
	require.Equal(t, 2, e.count(t, `select count(*) from effect`))
	require.Equal(t, 1, e.count(t, `select count(*) from outbox where headers->>'waybill-dlq-reason' = 'no such order'`))

	refuses = false
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(9, "refuse"), delivery(10, "refuse")}))
	require.Equal(t, inbox.Outcome{Applied: 1, Duplicates: 1}, last)
	require.Equal(t, 1, e.count(t, `select count(*) from effect where what = 'refuse'`))
	require.Equal(t, 2, e.count(t, `select count(*) from outbox where topic = 't.dlq'`))
}

// identified reads messages of the form "id text", so that two can have one id.
func identified(e *effects) *inbox.Processor[string, int64] {
	p := e.processor()
	p.Decode = func(d inbox.Delivery) (uuid.UUID, string, error) {
		var n byte
		var text string
		_, err := fmt.Sscan(string(d.Value), &n, &text)
		return uuid.UUID{15: n}, text, err
	}
	return p
}

// Two different messages under one id are not one: the second is set aside with the places of both.
// The same message again, from wherever and however often, is a duplicate.
func TestProcessor_AnotherMessageUnderAKnownIDIsADeadLetterThatNamesBoth(t *testing.T) {
	t.Parallel()
	typed := func(d inbox.Delivery, kind string) inbox.Delivery {
		d.Headers = []inbox.Header{{Key: "ce_type", Value: []byte(kind)}}
		return d
	}
	keyed := func(d inbox.Delivery, key string) inbox.Delivery {
		d.Key = []byte(key)
		return d
	}
	elsewhere := func(d inbox.Delivery) inbox.Delivery {
		d.Topic, d.Headers = "elsewhere", append(d.Headers, inbox.Header{Key: "traceparent"})
		return d
	}
	first := typed(delivery(1, "7 reserved"), "Reserved")
	for name, tt := range map[string]struct {
		second    inbox.Delivery
		conflicts bool
	}{
		"another content":             {typed(delivery(2, "7 rejected"), "Reserved"), true},
		"another type":                {typed(delivery(2, "7 reserved"), "Rejected"), true},
		"another key":                 {keyed(typed(delivery(2, "7 reserved"), "Reserved"), "other"), true},
		"the same from another topic": {elsewhere(typed(delivery(2, "7 reserved"), "Reserved")), false},
		"the same again":              {typed(delivery(2, "7 reserved"), "Reserved"), false},
	} {
		for _, together := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%t", name, together), func(t *testing.T) {
				t.Parallel()
				e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
				p := identified(e)
				var sum inbox.Outcome
				p.Observe = func(o inbox.Outcome) {
					sum = inbox.Outcome{
						Applied: sum.Applied + o.Applied, Duplicates: sum.Duplicates + o.Duplicates, Conflicts: sum.Conflicts + o.Conflicts,
						DeadLettered: sum.DeadLettered + o.DeadLettered,
					}
				}
				if together {
					require.NoError(t, p.Process(t.Context(), []inbox.Delivery{first, tt.second}))
				} else {
					require.NoError(t, p.Process(t.Context(), []inbox.Delivery{first}))
					require.NoError(t, p.Process(t.Context(), []inbox.Delivery{tt.second}))
				}
				require.Equal(t, 1, e.count(t, `select count(*) from effect`))
				if !tt.conflicts {
					require.Equal(t, inbox.Outcome{Applied: 1, Duplicates: 1}, sum)
					return
				}
				require.Equal(t, inbox.Outcome{Applied: 1, Conflicts: 1}, sum)
				require.NoError(t, p.Process(t.Context(), []inbox.Delivery{tt.second, first}), "both come again")
				require.Equal(t, inbox.Outcome{Applied: 1, Conflicts: 1, Duplicates: 2}, sum)
				require.Equal(t, 1, e.count(t, `select count(*) from outbox where headers->>'waybill-dlq-offset' = '2'
					and headers->>'waybill-dlq-reason' = 'event id 00000000-0000-0000-0000-000000000007 was used before, by another message at t/2 offset 1'`))
			})
		}
	}
}

// Rows of a version that kept no digest are believed.
func TestProcessor_AnInboxRowWithoutADigestKnowsEveryMessageOfItsID(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	p := identified(e)
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(1, "7 a")}))
	_, err := e.pool.Exec(t.Context(), `update inbox set digest = null`)
	require.NoError(t, err)
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(2, "7 b")}))
	require.Zero(t, e.count(t, `select count(*) from outbox where topic = 't.dlq'`))
}

func TestProcessor_ContentSaysWhatMakesAMessageTheSame(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	p := identified(e)
	p.Content = func(d inbox.Delivery) []byte { return d.Value[:3] }
	for offset, value := range []string{"7 a sent at ten", "7 a sent at eleven", "7 b sent at ten"} {
		require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(int64(offset), value)}))
	}
	require.Equal(t, 1, e.count(t, `select count(*) from outbox where topic = 't.dlq'`))
}

// A dead letter that the database refuses for what is in it is written without what may be at
// fault; where even that is refused, the message is counted as dropped. It never holds up the
// others.
func TestProcessor_RejectHasAFallbackAndAnotherOne(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		copies, rows string // what their tables allow
		outcome      inbox.Outcome
		letters      int // copies
		whole        bool
	}{
		"no rule":                        {`true`, `true`, inbox.Outcome{DeadLettered: 1}, 1, true},
		"keys are forbidden":             {`key is null`, `true`, inbox.Outcome{DeadLettered: 1}, 1, true},
		"payloads are forbidden":         {`payload = ''`, `true`, inbox.Outcome{DeadLettered: 1}, 1, true},
		"copies are forbidden":           {`topic not like '%.dlq'`, `true`, inbox.Outcome{DeadLettered: 1}, 0, true},
		"payloads are forbidden in rows": {`payload = ''`, `payload = ''`, inbox.Outcome{DeadLettered: 1}, 1, false},
		"all is forbidden":               {`topic not like '%.dlq'`, `topic = ''`, inbox.Outcome{Dropped: 1}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
			_, err := e.pool.Exec(t.Context(), `alter table outbox add constraint rule check (`+tt.copies+`);
				alter table dead_letters add constraint rule check (`+tt.rows+`)`)
			require.NoError(t, err)
			p := e.processor()
			p.Health = &inbox.Health{}
			var last inbox.Outcome
			p.Observe = func(o inbox.Outcome) { last = o }
			require.NoError(t, p.Reject(t.Context(), delivery(1, "x"), errors.New("no")))
			require.Equal(t, tt.outcome, last)
			require.Equal(t, tt.outcome.Dropped == 0, p.Health.Check(t.Context()) == nil)
			require.NoError(t, p.Reject(t.Context(), delivery(1, "x"), errors.New("no")))
			require.Equal(t, inbox.Outcome{Duplicates: 1}, last)
			require.Equal(t, tt.letters, e.count(t, `select count(*) from outbox where topic = 't.dlq'`))
			require.Equal(t, tt.outcome.DeadLettered, e.count(t, `select count(*) from dead_letters where state = 'dead'`))
			require.Equal(t, tt.whole, e.count(t, `select count(*) from dead_letters where whole`) == 1)
		})
	}
}

// Anything but the letter's content is waited for: it is not the letter's fault.
func TestProcessor_RejectDoesNotDropAMessageForWhatIsWrongWithTheDatabase(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	_, err := e.pool.Exec(t.Context(), `alter table outbox rename to hidden`)
	require.NoError(t, err)
	require.Error(t, e.processor().Reject(t.Context(), delivery(1, "x"), errors.New("no")))
	require.Zero(t, e.count(t, `select count(*) from inbox`))
}

// Two instances may hold the same messages for a moment. What Apply refuses is set aside by one.
func TestProcessor_TwoInstancesSetAMessageAsideOnce(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	refuses := true
	results := make(chan error, 2)
	for range 2 {
		go func() {
			p := picky(e, &refuses)
			results <- p.Process(t.Context(), []inbox.Delivery{delivery(1, "a"), delivery(2, "refuse")})
		}()
	}
	require.NoError(t, <-results)
	require.NoError(t, <-results)
	require.Equal(t, 1, e.count(t, `select count(*) from outbox where topic = 't.dlq'`))
	require.Equal(t, 1, e.count(t, `select count(*) from effect`))
}

var _ pgx.Tx = (*inbox.Tx)(nil)
