package inbox_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

// A processor that lacks what it cannot do without says so, and does not panic in a consumer.
func TestProcessor_NamesTheFieldThatIsNotSet(t *testing.T) {
	t.Parallel()
	type processor = inbox.Processor[string, struct{}]
	whole := processor{
		Consumer: "parcels", DB: new(pgxpool.Pool),
		Decode: func(inbox.Delivery) (uuid.UUID, string, error) { return uuid.Nil, "", nil },
		Apply: func(context.Context, *inbox.Tx, *struct{}, []inbox.Received[string]) ([]outbox.Message, error) {
			return nil, nil
		},
	}
	for field, without := range map[string]func(*processor){
		"Consumer": func(p *processor) { p.Consumer = "" },
		"DB":       func(p *processor) { p.DB = nil },
		"Decode":   func(p *processor) { p.Decode = nil },
		"Apply":    func(p *processor) { p.Apply = nil },
	} {
		p := whole
		without(&p)
		require.ErrorContains(t, p.Process(t.Context(), []inbox.Delivery{{Topic: "t"}}), "without "+field)
		require.ErrorContains(t, p.Reject(t.Context(), inbox.Delivery{Topic: "t"}, errors.New("why")), "without "+field)
	}
}

// A database without the tables says what to run. A table of the consumer's own is its own affair.
func TestProcessor_SaysWhatToRunWhereTheDatabaseWasNotSetUp(t *testing.T) {
	t.Parallel()
	const run = "run: migrate up --database URL outbox"
	consumer := func(db *pgtest.Database) *inbox.Processor[string, struct{}] {
		return &inbox.Processor[string, struct{}]{
			Consumer: "parcels", DB: db.Pool,
			Decode: func(inbox.Delivery) (uuid.UUID, string, error) { return uuid.New(), "", nil },
			Apply: func(ctx context.Context, tx *inbox.Tx, _ *struct{}, _ []inbox.Received[string]) ([]outbox.Message, error) {
				_, err := tx.Exec(ctx, "insert into parcels_of_my_outbox values (1)")
				return nil, err
			},
		}
	}
	d := inbox.Delivery{Topic: "t"}
	empty := pgtest.New(t)
	require.ErrorContains(t, consumer(empty).Process(t.Context(), []inbox.Delivery{d}), run)
	require.ErrorContains(t, consumer(empty).Reject(t.Context(), d, errors.New("why")), run)
	_, err := inbox.NewPositions(empty.Pool, "parcels").Read(t.Context(), []inbox.Partition{{Topic: "t"}})
	require.ErrorContains(t, err, run)

	err = consumer(pgtest.New(t, migrations.Outbox)).Process(t.Context(), []inbox.Delivery{d})
	require.ErrorContains(t, err, "parcels_of_my_outbox")
	require.NotContains(t, err.Error(), "migrate")
}
