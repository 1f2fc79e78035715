package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"waybill.example/sdk/cloudevents"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga"
)

// Local carries out commands of one type in the database of the sagas, and returns the replies; see
// [Reply]. It is what the embedding service does for its own sagas, in the transaction that decided
// to send the commands: no message is sent for them, and none for the replies.
//
// The commands are of any number of sagas. Statements that need no answer go to tx.Last, which is
// sent along with the commit; one that must verify its own preconditions has to fail where they do
// not hold. An error rolls everything back, the messages that led to the commands included, which
// are then tried again. A command without a reply waits for its deadline like any other.
//
// As a saga never knows what became of a transaction that it did not see commit, a command may be
// given again, for the same saga and step: carrying it out twice must do no more than once.
type Local func(ctx context.Context, tx *inbox.Tx, commands []saga.Command) ([]saga.Message, error)

// Reply returns the reply of the given type to a command that was carried out locally. Its body is
// encoded as JSON; the definition's functions for the reply see that.
func Reply(to saga.Command, replyType string, body any) (saga.Message, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return saga.Message{}, fmt.Errorf("encode the reply %s: %w", replyType, err)
	}
	return saga.Message{
		ID: cloudevents.EventID("local reply", to.ID.String(), replyType), Type: replyType, Key: to.Key,
		CausationID: to.ID, Data: data, Trace: to.Trace,
	}, nil
}

// localCommand is a command and what carries it out.
type localCommand struct {
	do Local
	saga.Command
}

// carryOut carries out the local commands, those of one type together, and applies the replies,
// until the sagas send none any more.
func (a *application) carryOut(ctx context.Context, tx *inbox.Tx, now time.Time) error {
	for len(a.pending) > 0 {
		do, first := a.pending[0].do, a.pending[0].Type
		var commands []saga.Command
		var rest []localCommand
		for _, c := range a.pending {
			if c.Type == first {
				commands = append(commands, c.Command)
			} else {
				rest = append(rest, c)
			}
		}
		a.pending = rest
		replies, err := do(ctx, tx, commands)
		if err != nil {
			return &localError{first, len(commands), err}
		}
		for _, reply := range replies {
			if err := a.message(reply, nil, now); err != nil {
				return fmt.Errorf("reply to %s: %w", first, err)
			}
		}
	}
	return nil
}

// localError says that commands could not be carried out here.
type localError struct {
	command string
	count   int
	err     error
}

func (e *localError) Error() string {
	return fmt.Sprintf("carry out %d × %s: %v", e.count, e.command, e.err)
}

func (e *localError) Unwrap() error { return e.err }

// permanent says whether an error is that of the commands at hand, and not of the database: one
// that a local command returned, a data exception (SQLSTATE class 22) or a violated constraint
// (23).
func permanent(err error) bool {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(pgErr.Code, "22") || strings.HasPrefix(pgErr.Code, "23")
	}
	_, ok := errors.AsType[*localError](err)
	return ok
}
