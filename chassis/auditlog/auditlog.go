// Package auditlog records what operators change, in the table audit_log of the database that they
// change, and in the same transaction: who, what, why, from where, before and after, and the
// result. Nobody who may add an entry can change or remove one, and each entry has the hash of the
// one before it, so that what the owner of the table changed or removed is found by [Chain].
//
// A change that was refused is not recorded: nothing happened. A change that turned out to have no
// effect is, with that as its result.
package auditlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill.example/chassis/terminal"
)

// SchemaVersion is the version of the migration set "outbox" that this package needs.
const SchemaVersion = 10

// Entry is one change by an operator.
type Entry struct {
	// Actor is who did it: the holder of the token. Required.
	Actor string
	// Client is where the request came from, as the service saw it; empty for a command on the
	// machine itself.
	Client string
	// Action is what was done, as lower-case words with at most one dot: outbox.retry, saga.cancel.
	Action string
	// Object is what it was done to, as a path: outbox/17, saga/order/4711, stock/burger. Required.
	Object string
	// Reason is why, in the operator's words.
	Reason string
	// Before and After are what the object was and is, as far as it matters, to be encoded as JSON;
	// nil: not known. What is longer than 64 KiB is replaced by its length.
	Before, After any
	// Result is what came of it, in a few words; empty: what After says.
	Result string
}

// ErrInvalid is wrapped by the errors of entries that are refused for what they say.
var ErrInvalid = errors.New("not an entry of an audit log")

// maxJSON is the longest encoding of Before or After that is kept, in bytes.
const maxJSON = 64 << 10

const appendSQL = `
insert into public.audit_log (actor, client, action, object, reason, before, after, result)
values ($1, $2, $3, $4, $5, $6, $7, $8)`

// Append records an entry in the transaction of the change. Entries of a database follow each
// other: until the transaction ends, others that append wait. So it is the last statement of a
// transaction, after everything that the transaction has to wait for.
func Append(ctx context.Context, tx pgx.Tx, e Entry) error {
	for _, text := range []string{e.Actor, e.Client, e.Object, e.Reason, e.Result} {
		if !terminal.Plain(text) {
			return fmt.Errorf("record %s: %w: names and reasons are plain text, without control or invisible characters", e.Action, ErrInvalid)
		}
	}
	before, err := encode(e.Before)
	if err != nil {
		return fmt.Errorf("record %s: encode what was before: %w", e.Action, err)
	}
	after, err := encode(e.After)
	if err != nil {
		return fmt.Errorf("record %s: encode what is after: %w", e.Action, err)
	}
	if _, err := tx.Exec(ctx, appendSQL, e.Actor, e.Client, e.Action, e.Object, e.Reason, before, after, e.Result); err != nil {
		return fmt.Errorf("record %s of %s: %w", e.Action, e.Object, err)
	}
	return nil
}

// encode returns nil for nil, and compact JSON, which stays as it is on its way through other JSON:
// the text is hashed.
func encode(v any) (*string, error) {
	if v == nil {
		return nil, nil //nolint:nilnil // null is a value here
	}
	encoded, err := json.Marshal(v)
	if err != nil || string(encoded) == "null" {
		return nil, err
	}
	if len(encoded) > maxJSON {
		encoded = fmt.Appendf(nil, `{"omitted":"%d bytes"}`, len(encoded))
	}
	text := string(encoded)
	return &text, nil
}
