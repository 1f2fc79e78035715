package notify

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
)

// API is what operators see of notifications over HTTP: the latest, and a way to try the webhook.
type API struct {
	DB     *pgxpool.Pool
	Tokens admin.Tokens // who may try the webhook
	// Readers may see what was sent; nil: every client that reaches the API.
	Readers *admin.Tokens
}

type notificationsOutput struct {
	httpserver.Paged
	Body struct {
		Notifications []SentNotification `json:"notifications" nullable:"false" doc:"Newest first"`
		Next          string             `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
	}
}

type notificationTestOutput struct {
	Body struct {
		ID uuid.UUID `json:"id" doc:"The webhook-id of the notification."`
	}
}

// Register adds the operations. The names of what they take and return are the API's, where they
// must be unique.
func (a *API) Register(operations httpserver.Operations) {
	list := huma.Operation{
		OperationID: "list-notifications", Method: http.MethodGet, Path: "/v1/notifications",
		Summary: "What the webhook was sent, newest first, and whether it took it", Tags: []string{"Notifications"},
	}
	if a.Readers != nil {
		list = admin.Secure(operations.API, *a.Readers, list)
	}
	httpserver.Handle(operations, list, a.list)
	httpserver.Handle(operations, admin.Secure(operations.API, a.Tokens, huma.Operation{
		OperationID: "test-notification", Method: http.MethodPost, Path: "/v1/notifications/test", DefaultStatus: http.StatusAccepted,
		Summary: "Send the webhook a notification that says that nothing is the matter", Tags: []string{"Notifications"},
	}), func(ctx context.Context, _ *struct{}) (out *notificationTestOutput, err error) {
		out = &notificationTestOutput{}
		out.Body.ID, err = Test(ctx, a.DB, admin.Actor(ctx))
		return out, err
	})
}

func (a *API) list(ctx context.Context, in *httpserver.Page) (*notificationsOutput, error) {
	before, err := positionOf(in.Cursor)
	if err != nil {
		return nil, err
	}
	found, err := List(ctx, a.DB, before, in.Fetch())
	if err != nil {
		return nil, err
	}
	out := &notificationsOutput{}
	out.Body.Notifications, out.Body.Next, out.Paged = httpserver.Cut(ctx, *in, found, func(last SentNotification) string {
		return httpserver.EncodeCursor(last.CreatedAt.UTC().Format(time.RFC3339Nano), last.ID.String())
	})
	return out, nil
}

// positionOf reads a cursor. The error is the answer to send.
func positionOf(cursor string) (*Position, error) {
	fields, err := httpserver.DecodeCursor(cursor, 2)
	if fields == nil {
		return nil, err
	}
	at, timeErr := time.Parse(time.RFC3339Nano, fields[0])
	id, idErr := uuid.Parse(fields[1])
	if timeErr != nil || idErr != nil {
		return nil, httpserver.InvalidCursor()
	}
	return &Position{at, id}, nil
}
