package outbox_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/payload"
)

// tagging is a codec that says which message it was called for.
type tagging struct{ err error }

func (c tagging) Encode(_ context.Context, m payload.Message) (payload.Message, error) {
	m.Value = append([]byte(m.ID.String()+" "), m.Value...)
	return m.With(map[string]string{"ce_tagged": m.Topic + "/" + m.Key + "/" + m.Type}), c.err
}

func (tagging) Decode(_ context.Context, m payload.Message) (payload.Message, error) { return m, nil }

func TestWriter_EncodesWhatIsInsertedUnderItsID(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	w := outbox.Writer{Payloads: tagging{}}
	given := outbox.Message{Topic: "t", Key: "k", Type: "T", Payload: []byte("x")}
	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		return w.Append(t.Context(), tx, given)
	}))
	batch := &pgx.Batch{}
	require.NoError(t, w.Queue(t.Context(), batch, given, given))
	require.NoError(t, db.Pool.SendBatch(t.Context(), batch).Close())
	require.Nil(t, given.Headers, "what is given is not modified")

	rows, err := db.Pool.Query(t.Context(), `select event_id, payload, headers->>'ce_tagged' from outbox order by id`)
	require.NoError(t, err)
	var id uuid.UUID
	var value []byte
	var tag string
	n := 0
	_, err = pgx.ForEachRow(rows, []any{&id, &value, &tag}, func() error {
		n++
		require.Equal(t, id.String()+" x", string(value))
		require.Equal(t, "t/k/T", tag)
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, rows.Err())
	require.Equal(t, 3, n)

	failing := outbox.Writer{Payloads: tagging{errors.New("no key")}}
	require.ErrorContains(t, failing.Queue(t.Context(), batch, given), "append to outbox: message 0: encode the payload of T: no key")
	require.ErrorContains(t, w.Queue(t.Context(), batch, outbox.Message{Type: "T"}), "the topic is empty")
}
