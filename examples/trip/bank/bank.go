// Package bank takes payments. It has the same commands and answers as the participant in Java
// (examples/java-participant), which can take its place.
package bank

import (
	"context"
	_ "embed"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill.example/sdk/participant"
)

// Schema is the bank's own tables.
//
//go:embed schema.sql
var Schema string

// Step is what the bank does for a saga.
func Step() participant.Step {
	return participant.Step{
		Do: participant.Handle("TakePayment", take), Done: "PaymentTaken", Refused: "PaymentDeclined",
		Undo: participant.HandleUndo("RefundPayment", refund), Undone: "PaymentRefunded",
	}
}

type payment struct {
	Card  string `json:"card"`
	Cents int64  `json:"cents"`
}

// take records the payment first and asks questions later: the check of the schema refuses what is
// not covered, and the kit takes back what was done before.
func take(ctx context.Context, tx pgx.Tx, c participant.Command[payment]) (payment, error) {
	p := c.Body
	tag, err := tx.Exec(ctx, `update accounts set cents = cents - $2 where card = $1`, p.Card, p.Cents)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.ConstraintName == "accounts_covered" {
		return p, participant.Refuse("insufficient funds")
	}
	if err != nil {
		return p, err
	}
	if tag.RowsAffected() == 0 {
		return p, participant.Refuse("unknown card")
	}
	_, err = tx.Exec(ctx, `insert into payments (saga, card, cents) values ($1, $2, $3)`, c.Saga, p.Card, p.Cents)
	return p, err
}

const refundSQL = `
with p as (delete from payments where saga = $1 returning card, cents)
update accounts a set cents = a.cents + p.cents from p where a.card = p.card`

func refund(ctx context.Context, tx pgx.Tx, c participant.Command[struct{}]) error {
	_, err := tx.Exec(ctx, refundSQL, c.Saga)
	return err
}
