package notify

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
)

type listInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"The most notifications to return."`
}

type listOutput struct {
	Body struct {
		Notifications []Sent `json:"notifications" nullable:"false"`
	}
}

type testOutput struct {
	Body struct {
		ID uuid.UUID `json:"id" doc:"The webhook-id of the notification."`
	}
}

// Register adds what operators see of notifications: the latest, and a way to try the webhook.
func Register(api huma.API, operations httpserver.Operations, db *pgxpool.Pool, tokens admin.Tokens) {
	httpserver.Handle(operations, huma.Operation{
		OperationID: "list-notifications", Method: http.MethodGet, Path: "/v1/notifications",
		Summary: "What the webhook was sent, newest first, and whether it took it", Tags: []string{"Notifications"},
	}, func(ctx context.Context, in *listInput) (out *listOutput, err error) {
		out = &listOutput{}
		out.Body.Notifications, err = List(ctx, db, in.Limit)
		return out, err
	})
	httpserver.Handle(operations, admin.Secure(api, tokens, huma.Operation{
		OperationID: "test-notification", Method: http.MethodPost, Path: "/v1/notifications/test", DefaultStatus: http.StatusAccepted,
		Summary: "Send the webhook a notification that says that nothing is the matter", Tags: []string{"Notifications"},
	}), func(ctx context.Context, _ *struct{}) (out *testOutput, err error) {
		out = &testOutput{}
		out.Body.ID, err = Test(ctx, db, admin.Actor(ctx))
		return out, err
	})
}
