package deadletters

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/auditlog"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/masking"
	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/inbox"
)

// runWithin bounds how long a change works the queue off before it answers; the rest is done behind
// it.
const runWithin = 5 * time.Second

func (s *Service) registerChanges(ops httpserver.Operations) {
	change := func(id, path, summary string, errs ...int) huma.Operation {
		return admin.Secure(ops.API, s.Tokens, huma.Operation{
			OperationID: id, Method: http.MethodPost, Path: path, Summary: summary, Tags: []string{"Dead letters"}, Errors: errs,
		})
	}
	refusals := []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed}
	httpserver.Handle(ops, change("redrive-dead-letter", "/v1/dead-letters/{id}/redrive",
		"Apply a dead letter again, and then what waits behind it", refusals...), s.redrive)
	httpserver.Handle(ops, change("discard-dead-letter", "/v1/dead-letters/{id}/discard",
		"Never apply a dead letter, and go on with what waits behind it", refusals...), s.discard)
	httpserver.Handle(ops, change("edit-dead-letter", "/v1/dead-letters/{id}/edit",
		"Put an edited copy with an id of its own in the place of a dead letter; both are kept", refusals...), s.edit)
	s.registerNote(ops)
	if s.Jobs != nil {
		s.registerBulk(ops, change)
	}
}

// Changing is what every change of one dead letter has.
type Changing struct {
	Target
	httpserver.IfMatch
}

type deadLetterChangeInput struct {
	Changing
	Body struct {
		Reason httpserver.Reason `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the audit log"`
	}
}

type doIt func(context.Context, int64, deadletter.Change) (deadletter.Letter, error)

func (s *Service) redrive(ctx context.Context, in *deadLetterChangeInput) (*detailOutput, error) {
	return s.change(ctx, in, deadletter.Redrive, s.store.Redrive)
}

func (s *Service) discard(ctx context.Context, in *deadLetterChangeInput) (*detailOutput, error) {
	return s.change(ctx, in, deadletter.Discard, s.store.Discard)
}

// change does it, works the queue off for a moment, and answers with what has come of it.
func (s *Service) change(ctx context.Context, in *deadLetterChangeInput, action deadletter.Action, do doIt) (*detailOutput, error) {
	by := operator{admin.Actor(ctx), admin.Client(ctx), string(in.Body.Reason)}
	l, err := do(ctx, in.ID, by.change(action, in.Revision()))
	if err != nil {
		return nil, refusal(err)
	}
	s.work(ctx, l)
	if l, err = s.store.Get(ctx, in.ID); err != nil {
		return nil, err
	}
	return s.detail(ctx, l)
}

// work works the queue of a letter off for a moment. What fails is tried again by Run.
func (s *Service) work(ctx context.Context, l deadletter.Letter) {
	if l.KeyID == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, runWithin)
	defer cancel()
	if err := s.Redriver.RunQueue(ctx, *l.KeyID); err != nil {
		s.Log.WarnContext(ctx, "queue of a dead letter not worked off yet", "dead_letter", l.ID, "topic", l.Topic, "key", string(l.Key), "error", err)
	}
}

// operator is who changes something.
type operator struct{ actor, client, reason string }

func (o operator) change(action deadletter.Action, seen int) deadletter.Change {
	return deadletter.Change{
		Revision: seen, Note: o.reason,
		Audit: func(ctx context.Context, tx pgx.Tx, before, after deadletter.Letter) error {
			return auditlog.Append(ctx, tx, auditlog.Entry{
				Actor: o.actor, Client: o.client, Reason: o.reason, Action: "deadletter." + string(action),
				Object: fmt.Sprintf("dead-letter/%d", before.ID), Before: audited(before), After: audited(after),
			})
		},
	}
}

// audited is what the audit log keeps of a dead letter: not what it holds, but what identifies
// that.
func audited(l deadletter.Letter) any {
	return map[string]any{
		"id": l.ID, "state": l.State, "consumer": l.Consumer, "topic": l.Topic, "partition": l.Partition, "offset": l.Offset,
		"eventId": l.EventID, "type": l.Type, "reason": l.Reason, "supersededBy": l.SupersededBy, "replaces": l.Replaces,
	}
}

// refusal answers what cannot be done with 409 and the reason.
func refusal(err error) error {
	if state, ok := errors.AsType[*deadletter.StateError](err); ok {
		return huma.Error409Conflict(state.Error())
	}
	if first, ok := errors.AsType[*deadletter.FirstError](err); ok {
		return huma.Error409Conflict(first.Error())
	}
	return err
}

type deadLetterEditInput struct {
	Changing
	Body struct {
		Reason  httpserver.Reason `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the audit log"`
		Payload json.RawMessage   `json:"payload" doc:"The value of the copy, as JSON. A member eventId that has the old id gets the new one"`
		Type    httpserver.Text   `json:"type,omitempty" maxLength:"255" doc:"The type of the copy, if it is another"`
		DryRun  bool              `json:"dryRun,omitempty" doc:"Only say whether the consumer would read it; answers with what is to be edited"`
	}
}

// edit refuses a copy that the consumer cannot read.
func (s *Service) edit(ctx context.Context, in *deadLetterEditInput) (*detailOutput, error) {
	before, err := s.store.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	plain, _ := s.revealed(ctx, before)
	shown := s.view(ctx, plain)
	payload, err := s.restored(ctx, shown, before, in.Body.Payload, string(in.Body.Type))
	if err != nil {
		return nil, httpserver.Invalid("body.payload", err.Error())
	}
	edited, err := s.edited(ctx, before, payload, string(in.Body.Type))
	if err != nil {
		return nil, httpserver.Invalid("body.payload", shown.Scrub(err.Error()))
	}
	if in.Body.DryRun {
		return s.detail(ctx, before)
	}
	by := operator{admin.Actor(ctx), admin.Client(ctx), string(in.Body.Reason)}
	after, err := s.store.Edit(ctx, in.ID, edited, by.change(deadletter.Edit, in.Revision()))
	if err != nil {
		return nil, refusal(err)
	}
	return s.detail(ctx, after)
}

// restored is an edited payload with what was hidden from who edits it. Of another type it would
// be hidden by other rules, or by none: then it would be shown.
func (s *Service) restored(ctx context.Context, shown masking.View, l deadletter.Letter, edited []byte, kind string) ([]byte, error) {
	payload, err := shown.Restore(edited)
	if err != nil {
		return nil, err
	}
	after := s.Masks.Message(admin.RoleOf(ctx), l.Topic, cmp.Or(kind, l.Type), payload)
	if masking.Contains(edited) && !after.Covers(shown) {
		return nil, fmt.Errorf("what is hidden from you would not be hidden in a message of the type %s: say all values, or leave the type", kind)
	}
	return payload, nil
}

// edited is the copy, under an id of its own and encoded as the consumer's codec does, if the
// consumer reads it.
func (s *Service) edited(ctx context.Context, l deadletter.Letter, payload []byte, kind string) (deadletter.Edited, error) {
	e := deadletter.Edited{EventID: uuid.Must(uuid.NewV7()), Type: l.Type}
	if kind != "" {
		e.Type = kind
	}
	d := delivery(l)
	d.Headers = s.plainHeaders(ctx, l)
	var err error
	if d.Value, err = withID(payload, e.EventID); err != nil {
		return e, err
	}
	set := func(name, value string) {
		d.Headers = slices.DeleteFunc(d.Headers, func(h inbox.Header) bool { return h.Key == name })
		d.Headers = append(d.Headers, inbox.Header{Key: name, Value: []byte(value)})
	}
	set("ce_id", e.EventID.String())
	if e.Type != "" {
		set("ce_type", e.Type)
	}
	if d, err = inbox.EncodePayload(ctx, s.Redriver.Payloads(), d); err != nil {
		return e, err
	}
	e.Payload = d.Value
	for _, h := range d.Headers {
		e.Headers = append(e.Headers, deadletter.Header(h))
	}
	id, _, err := s.Redriver.Decode(ctx, d)
	if err != nil {
		return e, fmt.Errorf("%s would not take it: %w", s.Redriver.Consumer(), err)
	}
	if id != e.EventID {
		return e, fmt.Errorf("%s reads the id %s in it, which must be the copy's own", s.Redriver.Consumer(), id)
	}
	return e, nil
}

// withID gives a message the id of the copy, where it has one in its body.
func withID(payload []byte, id uuid.UUID) ([]byte, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(payload, &object); err != nil {
		return nil, fmt.Errorf("is not a JSON object: %w", err)
	}
	old, ok := object["eventId"]
	if !ok {
		return payload, nil
	}
	// Replaced where it stands, so that nothing else of the text changes.
	return bytes.Replace(payload, old, []byte(strconv.Quote(id.String())), 1), nil
}
