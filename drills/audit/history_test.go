package audit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/contracts"
	"waybill.example/drills/audit"
)

// recreate deletes a topic and makes it again, empty.
func (w *fixture) recreate(topic string) {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.broker.Addr()))
	require.NoError(w.t, err)
	defer client.Close()
	deletion := kmsg.NewPtrDeleteTopicsRequest()
	named := kmsg.NewDeleteTopicsRequestTopic()
	named.Topic = &topic
	deletion.TopicNames, deletion.Topics = []string{topic}, []kmsg.DeleteTopicsRequestTopic{named}
	deleted, err := deletion.RequestWith(w.t.Context(), client)
	require.NoError(w.t, err)
	require.NoError(w.t, kerr.ErrorForCode(deleted.Topics[0].ErrorCode))
	creation := kmsg.NewPtrCreateTopicsRequest()
	made := kmsg.NewCreateTopicsRequestTopic()
	made.Topic, made.NumPartitions, made.ReplicationFactor = topic, 3, 1
	creation.Topics = append(creation.Topics, made)
	created, err := creation.RequestWith(w.t.Context(), client)
	require.NoError(w.t, err)
	require.NoError(w.t, kerr.ErrorForCode(created.Topics[0].ErrorCode))
}

var outboxes = []string{"orders", "inventory", "orchestrator"}

func (w *fixture) stick(db, topic string) {
	w.sql(db, `with r as (insert into outbox (event_id, topic, key, type, payload) values (gen_random_uuid(), $1, 'k', 'Foreign', '{}') returning id)
		insert into outbox_stuck (outbox_id, key, topic, parked, error_code, error, attempts, next_attempt_at)
		select id, 'k', $1, false, 'UNKNOWN_TOPIC', 'no such topic', 1, now() from r`, topic)
}

// step does one thing that happens in the life of a system.
func (w *fixture) step(random *rand.Rand) (what string) {
	db := outboxes[random.IntN(3)]
	topic := contracts.Topics()[random.IntN(len(contracts.Topics()))]
	switch random.IntN(13) {
	case 0, 1, 2:
		w.place(1, random.IntN(3) > 0)
		return "an order is placed"
	case 3:
		w.stick(db, "nosuch.v1")
		return "a row is stuck"
	case 4:
		w.sql(db, "update outbox_stuck set discarded_at = now(), next_attempt_at = null")
		return "what is stuck is discarded"
	case 5:
		w.sql(db, "delete from outbox_stuck where discarded_at is null")
		w.sql(db, "delete from outbox where topic = 'nosuch.v1'")
		return "what is stuck is gone"
	case 6:
		w.recreate(topic)
		return topic + " is made again"
	case 7:
		for _, r := range w.lost(db) {
			if r.Topic == topic {
				w.publish(r)
			}
		}
		return topic + " is replayed"
	case 8:
		id := uuid.New()
		w.row("orders", contracts.OrderCancelRequested{Envelope: envelope(1, uuid.Nil), Reason: "lost"})
		w.deadLetter(id, strconv.Itoa(random.IntN(5)))
		return "a row is lost, and a dead letter set aside"
	case 9:
		for _, db := range outboxes {
			for _, r := range w.lost(db) {
				w.publish(r)
			}
		}
		return "everything is sent again"
	case 10:
		id := w.place(1, random.IntN(2) > 0)
		w.sql("orchestrator", "update sagas set phase = 'CANCELLED', state = 'CANCELLED', updated_at = now() - interval '1 hour' where id = $1", strconv.FormatInt(id, 10))
		w.sql("orders", "update orders set status = 'PENDING', reason = null where id = $1", id)
		return "the saga of an order is forced"
	case 11:
		w.date(db, oddTimes[random.IntN(len(oddTimes))], "where id = (select max(id) from outbox)")
		return "a row of " + db + " has an odd time"
	}
	for _, db := range outboxes {
		w.sql(db, "delete from outbox o using outbox_cursor c where c.published @> o.id and not exists (select from outbox_stuck s where s.outbox_id = o.id)")
	}
	w.sql("orders", "update orders set created_at = created_at - interval '1 day'")
	return "retention removes what is published"
}

var oddTimes = []string{"infinity", "-infinity", "294276-12-31", "0044-03-15 BC"}

// date sets when outbox rows were written, as in a table that was filled before there was a check.
func (w *fixture) date(db, at, where string) {
	w.sql(db, "alter table outbox drop constraint if exists outbox_fits")
	w.sql(db, fmt.Sprintf("update outbox set created_at = '%s' %s", at, where))
}

func (w *fixture) deadLetter(id uuid.UUID, key string) {
	w.t.Helper()
	var row int64
	require.NoError(w.t, w.dbs["orders"].Pool.QueryRow(w.t.Context(), `insert into outbox (event_id, topic, key, type, payload)
		values ($1, 'orders.commands.v1.dlq', $2, 'DeadLetter', '{') returning id`, id, key).Scan(&row))
	w.sql("orders", "update outbox_cursor set published = published + int8multirange(int8range($1, $1, '[]'))", row)
	w.publish(contracts.Record{EventID: id, Topic: "orders.commands.v1.dlq", Key: key, Type: "DeadLetter", Payload: []byte("{")})
}

// lost returns every row of a database, to be published again.
func (w *fixture) lost(db string) (all []contracts.Record) {
	w.t.Helper()
	rows, err := w.dbs[db].Pool.Query(w.t.Context(), "select event_id, topic, coalesce(key, ''), type, payload from outbox where topic <> 'nosuch.v1' order by id")
	require.NoError(w.t, err)
	for rows.Next() {
		var r contracts.Record
		require.NoError(w.t, rows.Scan(&r.EventID, &r.Topic, &r.Key, &r.Type, &r.Payload))
		all = append(all, r)
	}
	require.NoError(w.t, rows.Err())
	return all
}

// The promise of --watch: it says what an audit that begins now would say, whatever happened while
// it was watching, and however much of it is forgotten. A row that is stuck, one that was discarded
// and a topic that was made again each had it cry wolf without end; and it dropped a dead letter
// after one pass.
func TestAuditor_AWatchAndAnAuditThatBeginsNowAgree(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.cfg.Recent = time.Nanosecond // all is forgotten that can be
			w.cfg.Limits = audit.Limits{Overdue: time.Hour}
			random := rand.New(rand.NewPCG(seed, 0))
			watch := w.auditor()
			var history []string
			for range 20 {
				history = append(history, w.step(random))
				for range 1 + random.IntN(3) {
					pass(t, watch)
					watch.Forget()
				}
				once := func() []string {
					a, err := audit.New(t.Context(), w.cfg)
					require.NoError(t, err)
					defer a.Close()
					return named(pass(t, a).Findings())
				}()
				watched := named(pass(t, watch).Findings())
				slices.Sort(once)
				slices.Sort(watched)
				require.Equal(t, once, watched, "%v", history)
			}
		})
	}
}

// One odd row must not blind the audit.
func TestAuditor_AnOddTimestampDoesNotEndTheAudit(t *testing.T) {
	t.Parallel()
	for _, odd := range oddTimes {
		w := newFixture(t)
		w.place(1, true)
		w.settle()
		for db, set := range map[string]string{
			"orders": "orders set created_at = $1::text::timestamptz, updated_at", "inventory": "reservations set updated_at", "orchestrator": "sagas set updated_at",
		} {
			w.sql(db, "update "+set+" = $1::text::timestamptz", odd)
		}
		for _, db := range outboxes {
			w.date(db, odd, "")
		}
		a := w.auditor()
		report, err := a.Pass(context.WithoutCancel(t.Context()))
		require.NoError(t, err, odd)
		require.Empty(t, report.Findings(), odd)
	}
}

func TestAuditor_AForcedOrderIsJudged(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	id := w.place(1, true)
	w.sql("orders", "update orders set status = 'PENDING'")
	w.sql("orchestrator", "update sagas set phase = 'CANCELLED', state = 'CANCELLED'")
	w.settle()
	findings := pass(t, w.auditor()).Findings()
	require.Equal(t, []string{fmt.Sprintf("terminal order %d", id), fmt.Sprintf("reserved order %d", id)}, named(findings))
	require.Contains(t, findings[0].Repair, "CancelOrder")
	require.Contains(t, findings[1].Repair, "ReleaseInventory")
}
