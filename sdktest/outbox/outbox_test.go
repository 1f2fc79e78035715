package outbox_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/outbox"
)

type row struct {
	EventID uuid.UUID
	Topic   string
	Key     *string
	Type    string
	Payload []byte
	Headers map[string]string
}

func rows(t *testing.T, pool *pgxpool.Pool) []row {
	t.Helper()
	found, err := pool.Query(t.Context(), `select event_id, topic, key, type, payload, headers from outbox order by id`)
	require.NoError(t, err)
	all, err := pgx.CollectRows(found, pgx.RowToStructByPos[row])
	require.NoError(t, err)
	return all
}

func TestAppendStoresEveryFieldInOrder(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	key := "4711"
	want := []row{
		{uuid.MustParse("01976f2e-0000-7000-8000-000000000002"), "orders.v1", &key, "OrderCreated", []byte(`{"a":"ü"}`), map[string]string{"traceparent": "00-x", "quoted": `"\`}},
		{uuid.MustParse("01976f2e-0000-7000-8000-000000000001"), "orders.v1", nil, "NoKey", []byte{}, map[string]string{}},
		{uuid.MustParse("01976f2e-0000-7000-8000-000000000003"), "other", &key, "Binary", []byte{0, 255}, map[string]string{}},
	}
	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		return outbox.Append(t.Context(), tx,
			outbox.Message{EventID: want[0].EventID, Topic: "orders.v1", Key: key, Type: "OrderCreated", Payload: want[0].Payload, Headers: want[0].Headers},
			outbox.Message{EventID: want[1].EventID, Topic: "orders.v1", Type: "NoKey"},
			outbox.Message{EventID: want[2].EventID, Topic: "other", Key: key, Type: "Binary", Payload: want[2].Payload},
		)
	}))
	require.Empty(t, cmp.Diff(want, rows(t, db.Pool)))
}

func TestAppendDrawsAnEventIDThatSortsByTime(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		return outbox.Append(t.Context(), tx, outbox.Message{Topic: "t", Type: "T"})
	}))
	require.Equal(t, uuid.Version(7), rows(t, db.Pool)[0].EventID.Version())
}

func TestAppendKeepsTheOrderOfALargeBatch(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	const n = 5000
	messages := make([]outbox.Message, n)
	for i := range messages {
		messages[i] = outbox.Message{Topic: "t", Type: "T", Payload: fmt.Append(nil, i)}
	}
	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		return outbox.Append(t.Context(), tx, messages...)
	}))
	for i, r := range rows(t, db.Pool) {
		require.Equal(t, fmt.Sprint(i), string(r.Payload))
	}
}

func TestARolledBackTransactionLeavesNoRow(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	fault := errors.New("the business said no")
	err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		if err := outbox.Append(t.Context(), tx, outbox.Message{Topic: "t", Type: "T"}); err != nil {
			return err
		}
		return fault
	})
	require.ErrorIs(t, err, fault)
	require.Empty(t, rows(t, db.Pool))
}

func TestAppendRefusesAMessageThatCouldNeverBeSent(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	tests := map[string]outbox.Message{
		"append to outbox: message 1: the topic is empty": {Type: "T"},
		"append to outbox: message 1: the type is empty":  {Topic: "t"},
	}
	for want, bad := range tests {
		err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
			return outbox.Append(t.Context(), tx, outbox.Message{Topic: "t", Type: "T"}, bad)
		})
		require.EqualError(t, err, want)
	}
	require.Empty(t, rows(t, db.Pool))
}

func TestAppendOfNothingDoesNothing(t *testing.T) {
	t.Parallel()
	require.NoError(t, outbox.Append(t.Context(), nil))
}

func TestABatchWithAQueuedMessageIsAllOrNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	batch := &pgx.Batch{}
	require.NoError(t, outbox.Queue(batch, outbox.Message{Topic: "t", Type: "First"}))
	batch.Queue("select 1 / 0")
	require.ErrorContains(t, db.Pool.SendBatch(t.Context(), batch).Close(), "division by zero")
	require.Empty(t, rows(t, db.Pool))

	batch = &pgx.Batch{}
	require.NoError(t, outbox.Queue(batch))
	require.Zero(t, batch.Len())
	require.ErrorContains(t, outbox.Queue(batch, outbox.Message{Topic: "t"}), "the type is empty")
	require.NoError(t, outbox.Queue(batch, outbox.Message{Topic: "t", Type: "Second"}, outbox.Message{Topic: "t", Type: "Third"}))
	require.NoError(t, db.Pool.SendBatch(t.Context(), batch).Close())
	require.Len(t, rows(t, db.Pool), 2)
}

func TestSchemaVersionIsOneThatTheMigrationsHave(t *testing.T) {
	t.Parallel()
	latest, err := migrations.Latest(migrations.Outbox)
	require.NoError(t, err)
	require.LessOrEqual(t, int64(outbox.SchemaVersion), latest)
}
