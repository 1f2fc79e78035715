package auditlog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/auditlog"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func record(t *testing.T, db *pgtest.Database, entries ...auditlog.Entry) {
	t.Helper()
	for _, e := range entries {
		require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error { return auditlog.Append(t.Context(), tx, e) }))
	}
}

func list(t *testing.T, db *pgtest.Database, f auditlog.Filter) []auditlog.Record {
	t.Helper()
	records, err := auditlog.List(t.Context(), db.Pool, f)
	require.NoError(t, err)
	return records
}

// follow checks the whole chain and returns where it ends.
func follow(t *testing.T, db *pgtest.Database, chain auditlog.Chain) (auditlog.Chain, error) {
	t.Helper()
	for _, r := range list(t, db, auditlog.Filter{Oldest: true, After: chain.Seq}) {
		if err := chain.Follow(r); err != nil {
			return chain, err
		}
	}
	return chain, nil
}

func pause(actor string) auditlog.Entry {
	return auditlog.Entry{
		Actor: actor, Client: "203.0.113.7", Action: "outbox.pause", Object: "outbox", Reason: "the broker is moved, „kurz“",
		Before: map[string]any{"paused": false, "note": "<b>&\u2028"}, After: map[string]bool{"paused": true}, Result: "paused",
	}
}

func TestAppend_KeepsAllThatWasSaid(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	record(t, db, pause("ada"))
	r := list(t, db, auditlog.Filter{})[0]
	require.Equal(t, int64(1), r.Seq)
	require.WithinDuration(t, time.Now(), r.At, time.Minute)
	require.Equal(t, "ada 203.0.113.7 outbox.pause outbox the broker is moved, „kurz“ paused",
		strings.Join([]string{r.Actor, r.Client, r.Action, r.Object, r.Reason, r.Result}, " "))
	require.NotEmpty(t, r.DBRole)
	require.JSONEq(t, `{"paused":true}`, string(r.After))
}

func TestAppend_RecordsNothingOfAChangeThatIsTakenBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	taken := errors.New("taken back")
	err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		return errors.Join(auditlog.Append(t.Context(), tx, pause("ada")), taken)
	})
	require.ErrorIs(t, err, taken)
	record(t, db, pause("bob"))
	require.Len(t, list(t, db, auditlog.Filter{}), 1)
	end, err := follow(t, db, auditlog.Chain{})
	require.NoError(t, err, "and leaves no gap")
	require.Equal(t, int64(1), end.Seq)
}

func TestAppend_RefusesWhatIsNotPlainText(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	for _, hostile := range []string{"a\nb", "a\x1b[2J", "a\u202eb", "a\xff", "a\x00"} {
		for _, e := range []auditlog.Entry{
			{Actor: hostile, Action: "pause", Object: "o"},
			{Actor: "a", Action: "pause", Object: hostile},
			{Actor: "a", Action: "pause", Object: "o", Reason: hostile},
			{Actor: "a", Action: "pause", Object: "o", Result: hostile},
		} {
			err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error { return auditlog.Append(t.Context(), tx, e) })
			require.ErrorIs(t, err, auditlog.ErrInvalid, "%q", hostile)
		}
	}
}

func TestAppend_LeavesOutWhatIsLong(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	e := pause("ada")
	e.After = strings.Repeat("x", 1<<20)
	record(t, db, e)
	require.JSONEq(t, `{"omitted":"1048578 bytes"}`, string(list(t, db, auditlog.Filter{})[0].After))
}

// Writers at the same time, some of whom roll back, make one chain without a gap.
func TestAppend_MakesOneChainOfManyWriters(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	const writers, each = 8, 20
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				_ = pgx.BeginFunc(context.WithoutCancel(t.Context()), db.Pool, func(tx pgx.Tx) error {
					if err := auditlog.Append(t.Context(), tx, pause(fmt.Sprintf("writer %d", w))); err != nil {
						return err
					}
					if i%4 == 0 {
						return errors.New("not today")
					}
					return nil
				})
			}
		})
	}
	all.Wait()
	chain := auditlog.Chain{}
	for _, r := range list(t, db, auditlog.Filter{Oldest: true, Limit: 1000}) {
		require.NoError(t, chain.Follow(r))
	}
	require.Equal(t, int64(writers*each*3/4), chain.Seq)
}

// The owner of the table can disable the trigger and change what he likes; it is found.
func TestChain_FindsWhatTheOwnerChanged(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"entry 2 is not what was recorded": "update audit_log set reason = 'it was not me' where seq = 2",
		"entry 2 is not what was":          "update audit_log set before = null where seq = 2",
		"entry 3 follows entry 1":          "delete from audit_log where seq = 2",
		"entry 2 follows entry 0":          "delete from audit_log where seq = 1",
		"entry 2 was not recorded after entry 1": `update audit_log a set actor = 'eve', hash = decode(repeat('ab', 32), 'hex'), previous = decode(repeat('cd', 32), 'hex')
			where seq = 2`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t, migrations.Outbox)
			record(t, db, pause("ada"), pause("bob"), pause("eve"))
			_, err := follow(t, db, auditlog.Chain{})
			require.NoError(t, err)
			_, err = db.Pool.Exec(t.Context(), "alter table audit_log disable trigger audit_log_stays; "+sql)
			require.NoError(t, err)
			_, err = follow(t, db, auditlog.Chain{})
			require.ErrorContains(t, err, name)
		})
	}
}

// Where a chain ended once, kept elsewhere, proves that nothing was removed from its end and that
// the log was not written again.
func TestChain_FromWhatWasKept_FindsAShorterOrRewrittenLog(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	record(t, db, pause("ada"), pause("bob"))
	kept, err := follow(t, db, auditlog.Chain{})
	require.NoError(t, err)
	read, err := auditlog.ParseChain(kept.String())
	require.NoError(t, err)
	require.Equal(t, kept, read)
	record(t, db, pause("eve"))
	_, err = follow(t, db, read)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `alter table audit_log disable trigger audit_log_stays; delete from audit_log where seq >= 2;
		update audit_log_head set (seq, hash) = (select seq, hash from audit_log)`)
	require.NoError(t, err)
	record(t, db, pause("mallory"), pause("mallory"))
	_, err = follow(t, db, read)
	require.ErrorContains(t, err, "was not recorded after entry 2 as that is now")
}

func TestParseChain_RefusesWhatIsNone(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "7", "7:", "7:abcd", ":" + strings.Repeat("ab", 32), "0:" + strings.Repeat("ab", 32), "x:" + strings.Repeat("ab", 32)} {
		_, err := auditlog.ParseChain(s)
		require.Error(t, err, s)
	}
}

// Over HTTP and in exports entries are JSON, and have to be the same after it.
func TestRecord_FollowsAfterItsWayThroughJSON(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	bare := auditlog.Entry{Actor: "ada", Action: "outbox.retry", Object: "outbox/9007199254740993", After: json.RawMessage(`{"id": 9007199254740993}`)}
	record(t, db, pause("ada"), bare)
	var chain auditlog.Chain
	for _, r := range list(t, db, auditlog.Filter{Oldest: true}) {
		encoded, err := json.Marshal(r)
		require.NoError(t, err)
		var back auditlog.Record
		require.NoError(t, json.Unmarshal(encoded, &back))
		require.NoError(t, chain.Follow(back))
	}
	require.Equal(t, int64(2), chain.Seq)
}

func TestList_FindsByWhoWhatAndWhen(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	discard := auditlog.Entry{Actor: "bob", Action: "outbox.discard", Object: "outbox/17"}
	record(t, db, pause("ada"), discard, pause("bob"))
	for want, f := range map[string]auditlog.Filter{
		"[3 2 1]": {}, "[1 2 3]": {Oldest: true}, "[3 2]": {Actor: "bob"}, "[2]": {Object: "outbox/17"}, "[3 1]": {Action: "outbox.pause"},
		"[3]": {After: 2}, "[1]": {Before: 2}, "[]": {Since: time.Now().Add(time.Hour)}, "[3 2 1] ": {Until: time.Now().Add(time.Hour)}, "[3] ": {Limit: 1},
	} {
		seqs := []int64{}
		for _, r := range list(t, db, f) {
			seqs = append(seqs, r.Seq)
		}
		require.Equal(t, strings.TrimSpace(want), fmt.Sprint(seqs), "%+v", f)
	}
}
