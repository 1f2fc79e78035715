package inbox_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

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
