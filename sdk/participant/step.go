package participant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Step is one thing that a participant does for sagas: a command, and the undo that takes it back.
// The other fields are the types of the answers, as the saga's definition has them.
type Step struct {
	// Do carries the step out. The type of its command names the step in the database: it must not
	// change while sagas run.
	Do Handler
	// Done says that it was carried out; its body is what the handler returned.
	Done string
	// Refused says that it cannot be, and that nothing was done; its body is {"reason": "..."}. It
	// may be empty where Do refuses nothing and there is no Undo.
	Refused string
	// Undo takes the step back; it is called only for what was done. The zero Handler: there is no
	// undo.
	Undo Handler
	// Undone says that it was taken back, or was never done; its body is {}.
	Undone string
	// Topic is where the answers go; empty: Config.Topic.
	Topic string
}

// Command is a command with a body of type C.
type Command[C any] struct {
	// Saga identifies the saga: the name of its definition and its id ("trip/17"), or the id alone
	// where the command does not name the definition.
	Saga string
	// Key is the saga's id, the key of its messages.
	Key string
	// ID is of this command; a saga that asks again sends another one.
	ID uuid.UUID
	// Type is the command's type.
	Type string
	// Reply is, for an undo, the body of the answer that said that the step was done.
	Reply json.RawMessage
	// Body is what the saga's definition put into the command.
	Body C
}

// Handler is what is done for one type of command: [Handle], [HandleUndo].
type Handler struct {
	command string
	// bind decodes a body. What it returns is called at most once per delivery.
	bind func(body json.RawMessage) (call, error)
}

// call carries a command out and returns the body of the answer.
type call func(ctx context.Context, tx pgx.Tx, c Command[struct{}]) (any, error)

// Handle has f carry out the commands of a type, and returns the Handler for [Step].Do. f gets the
// body decoded from JSON, and what it returns is encoded to JSON as the body of the answer. What it
// does in tx is committed with the answer. It must not end tx.
//
// f returns [Refuse] for what cannot be done for business reasons. Any other error means that it
// could not be found out now: nothing is answered, and the command is delivered again.
func Handle[C, R any](command string, f func(ctx context.Context, tx pgx.Tx, c Command[C]) (R, error)) Handler {
	if f == nil {
		return Handler{command: command} // New says so
	}
	return Handler{command, func(body json.RawMessage) (call, error) {
		decoded, err := decode[C](command, body)
		return func(ctx context.Context, tx pgx.Tx, c Command[struct{}]) (any, error) {
			return f(ctx, tx, with(c, decoded))
		}, err
	}}
}

// HandleUndo has f take back what was done for a step, and returns the Handler for [Step].Undo. It
// is [Handle] without a reply. An undo cannot be refused: one that returns [Refuse] becomes a dead
// letter, and the saga shows as one whose compensation is stuck.
func HandleUndo[C any](command string, f func(ctx context.Context, tx pgx.Tx, c Command[C]) error) Handler {
	if f == nil {
		return Handler{command: command} // New says so
	}
	return Handle(command, func(ctx context.Context, tx pgx.Tx, c Command[C]) (struct{}, error) {
		return struct{}{}, f(ctx, tx, c)
	})
}

func decode[C any](command string, body json.RawMessage) (C, error) {
	var decoded C
	if len(body) == 0 {
		return decoded, nil
	}
	if err := json.Unmarshal(body, &decoded); err != nil {
		return decoded, fmt.Errorf("decode %s: %w", command, err)
	}
	return decoded, nil
}

func with[C any](c Command[struct{}], body C) Command[C] {
	return Command[C]{Saga: c.Saga, Key: c.Key, ID: c.ID, Type: c.Type, Reply: c.Reply, Body: body}
}

// Refusal is the error of a command that cannot be carried out for reasons of the business. See
// [Refuse].
type Refusal struct {
	// Reason is sent to the saga, and shown to people.
	Reason string
}

func (r *Refusal) Error() string { return "refused: " + r.Reason }

// Refuse returns the error with which a handler refuses a command: there is no such room, the card
// is declined. It may be wrapped.
func Refuse(reason string) error { return &Refusal{reason} }

// Refusef is [Refuse] with a formatted reason.
func Refusef(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// check returns everything that is wrong with the steps.
func check(c Config, steps []Step) error {
	var problems []error
	problem := func(step, format string, args ...any) {
		problems = append(problems, fmt.Errorf("step %q: "+format, append([]any{step}, args...)...))
	}
	commands, answers := map[string]bool{}, map[string]bool{}
	if c.Consumer == "" || c.DB == nil {
		problems = append(problems, errors.New("the consumer or the database is not set"))
	}
	if len(steps) == 0 {
		problems = append(problems, errors.New("there are no steps"))
	}
	for _, s := range steps {
		name := s.Do.command
		switch {
		case s.Do.bind == nil || name == "":
			problem(name, "Do must be made by Handle, with the type of the command and a function")
		case s.Undo.bind == nil && s.Undo.command != "":
			problem(name, "Undo must be made by HandleUndo, with a function")
		case s.Done == "":
			problem(name, "Done is empty: a command that was carried out has to be answered")
		case c.Topic == "" && s.Topic == "":
			problem(name, "there is no topic for its answers")
		case s.Undo.bind != nil && (s.Undone == "" || s.Refused == "" || s.Undo.command == ""):
			problem(name, "a step with an Undo needs Undone, and Refused for a command that comes after its undo")
		case s.Undo.bind == nil && s.Undone != "":
			problem(name, "Undone is set and Undo is not")
		}
		for _, command := range []string{name, s.Undo.command} {
			if command != "" && commands[command] {
				problem(name, "the command %q is handled twice", command)
			}
			commands[command] = true
		}
		for _, answer := range []string{s.Done, s.Refused, s.Undone} {
			if answer != "" && answers[answer] {
				problem(name, "the answer %q is used twice: a saga could not tell what it says", answer)
			}
			answers[answer] = true
		}
	}
	return errors.Join(problems...)
}
