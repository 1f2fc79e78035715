package deadletters

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/auditlog"
	"waybill.example/chassis/httpserver"
	"waybill.example/sdk/deadletter"
)

func (s *Service) registerNote(ops httpserver.Operations) {
	httpserver.Handle(ops, admin.Secure(ops.API, s.Tokens, huma.Operation{
		OperationID: "note-dead-letter-group", Method: http.MethodPut, Path: "/v1/dead-letters/{id}/group-note", Tags: []string{"Dead letters"},
		Summary:     "Say who looks at the group of a dead letter, and what is known of it; with neither, remove the note",
		Description: "The note is about all dead letters of the same consumer, topic, type and cause, also those to come.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed},
	}), s.annotate)
}

type deadLetterNoteInput struct {
	Target
	httpserver.IfMatch
	Body struct {
		Owner httpserver.Text `json:"owner,omitempty" maxLength:"100" doc:"Who looks at them"`
		Note  httpserver.Text `json:"note,omitempty" maxLength:"1000" doc:"What is known of them, such as a ticket"`
	}
}

type deadLetterNoteOutput struct {
	ETag string `header:"ETag" doc:"The revision of the note"`
	Body DeadLetterNote
}

func (s *Service) annotate(ctx context.Context, in *deadLetterNoteInput) (*deadLetterNoteOutput, error) {
	actor, client := admin.Actor(ctx), admin.Client(ctx)
	n, err := s.store.Annotate(ctx, in.ID, deadletter.Annotation{
		Owner: string(in.Body.Owner), Note: string(in.Body.Note), By: actor, Revision: in.Revision(),
		Audit: func(ctx context.Context, tx pgx.Tx, l deadletter.Letter, before, after deadletter.GroupNote) error {
			return auditlog.Append(ctx, tx, auditlog.Entry{
				Actor: actor, Client: client, Action: "deadletter.note", Object: fmt.Sprintf("dead-letter/%d", l.ID),
				Before: auditedNote(l, before), After: auditedNote(l, after),
			})
		},
	})
	if err != nil {
		return nil, err
	}
	return &deadLetterNoteOutput{strconv.Quote(strconv.Itoa(n.Revision)), DeadLetterNote(n)}, nil
}

func auditedNote(l deadletter.Letter, n deadletter.GroupNote) any {
	return map[string]any{"consumer": l.Consumer, "topic": l.Topic, "type": l.Type, "cause": l.Cause, "owner": n.Owner, "note": n.Note}
}
