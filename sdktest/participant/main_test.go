package participant_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/participant"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// room is the body of both commands, and of the answer to the first.
type room struct {
	Number int  `json:"number"`
	Full   bool `json:"full,omitempty"`
}

// newDatabase has a table of effects beside the kit's.
func newDatabase(t *testing.T) *pgtest.Database {
	t.Helper()
	db := pgtest.New(t, migrations.Outbox, migrations.Participant)
	_, err := db.Pool.Exec(t.Context(), `create table effects (id bigint generated always as identity, saga text, what text)`)
	require.NoError(t, err)
	return db
}

const effectSQL = `insert into effects (saga, what) values ($1, $2)`

func reserve(ctx context.Context, tx pgx.Tx, c participant.Command[room]) (room, error) {
	if _, err := tx.Exec(ctx, effectSQL, c.Saga, "reserve"); err != nil {
		return room{}, err
	}
	if c.Body.Full {
		return room{}, participant.Refuse("full")
	}
	return room{Number: c.Body.Number}, nil
}

func release(ctx context.Context, tx pgx.Tx, c participant.Command[room]) error {
	_, err := tx.Exec(ctx, effectSQL, c.Saga, "release "+string(c.Reply))
	return err
}

func step() participant.Step {
	return participant.Step{
		Do: participant.Handle("ReserveRoom", reserve), Done: "RoomReserved", Refused: "RoomRefused",
		Undo: participant.HandleUndo("ReleaseRoom", release), Undone: "RoomReleased",
	}
}

func hotel(t *testing.T, db *pgxpool.Pool, steps ...participant.Step) *participant.Participant {
	t.Helper()
	p, err := participant.New(participant.Config{Consumer: "hotel", DB: db, Topic: "hotel.v1"}, steps...)
	require.NoError(t, err)
	return p
}

var offsets atomic.Int64

// command is a delivery of a new command.
func command(kind, saga, body string) inbox.Delivery {
	return delivery(uuid.Must(uuid.NewV7()), kind, saga, body)
}

func delivery(id uuid.UUID, kind, saga, body string) inbox.Delivery {
	return inbox.Delivery{
		Topic: "hotel.commands.v1", Offset: offsets.Add(1), Key: []byte(saga), Value: []byte(body), Time: time.Now(),
		Headers: []inbox.Header{
			{Key: "ce_id", Value: []byte(id.String())}, {Key: "ce_type", Value: []byte(kind)}, {Key: "waybill-saga", Value: []byte("trip")},
		},
	}
}

// said is an answer in the outbox.
type said struct {
	EventID uuid.UUID
	Key     string
	Type    string
	Body    string
	Cause   string // the first command
	Again   string // another command, to which it is sent again
}

// answers returns the outbox, or of it what is for one saga.
func answers(t *testing.T, db *pgxpool.Pool, saga string) []said {
	t.Helper()
	rows, err := db.Query(t.Context(), `
select event_id, coalesce(key, '') as key, type, case when payload = '' then '' else convert_from(payload, 'UTF8')::jsonb::text end as body,
       coalesce(headers ->> 'ce_causationid', '') as cause, coalesce(headers ->> 'waybill-in-reply-to', '') as again
from outbox where $1 in ('', key) order by id`, saga)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[said])
	require.NoError(t, err)
	return all
}

func effects(t *testing.T, db *pgxpool.Pool, saga string) []string {
	t.Helper()
	rows, err := db.Query(t.Context(), `select what from effects where saga = $1 order by id`, "trip/"+saga)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return all
}

func types(all []said) []string {
	var types []string
	for _, s := range all {
		kind := s.Type
		if s.Again != "" {
			kind += " again"
		}
		types = append(types, kind)
	}
	return types
}

func body(number int, full bool) string { return fmt.Sprintf(`{"number":%d,"full":%v}`, number, full) }

func isSerialization(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.Code == "40001"
}
