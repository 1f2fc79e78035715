package admin_test

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/admin"
)

func ExampleGuard() {
	register := func(api huma.API, tokens admin.Tokens) {
		huma.Register(api, huma.Operation{
			OperationID: "pause", Method: http.MethodPost, Path: "/v1/pause",
			Middlewares: huma.Middlewares{admin.Guard(api, tokens)},
		}, func(ctx context.Context, _ *struct{}) (*struct{}, error) {
			_ = admin.Actor(ctx) // who is it?
			return nil, nil
		})
	}
	_ = register
}
