package httpapi

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/httpserver"
	"waybill.example/outbox-relay/internal/ops"
)

type topicRequest struct {
	Target
	Topic string `path:"topic" maxLength:"249" doc:"The topic that is missing."`
	Body  *struct {
		Reason     httpserver.Text `json:"reason,omitzero" maxLength:"1000" doc:"Why, for the audit."`
		Like       string          `json:"like,omitempty" maxLength:"249" doc:"A topic that it is to be like; the default is that to which most of the newest rows of the database went."`
		Partitions int             `json:"partitions,omitempty" minimum:"0" maximum:"10000" doc:"How many partitions; 0: as many as the other topic has."`
		DryRun     bool            `json:"dryRun,omitempty" doc:"Only say what would be created."`
	}
}

// registerTopics adds the creation of a topic for which rows are stuck.
func (a *API) registerTopics() {
	httpserver.Handle(a.operations, a.changing(huma.Operation{
		OperationID: "create-topic", Path: "/v1/outbox/{database}/topics/{topic}/create",
		Summary: "Create a topic for which rows are stuck, like another one, and try them; dryRun says what it would be",
	}), func(ctx context.Context, r *topicRequest) (*answer[ops.NewTopic], error) {
		return on(a, r.Database, func(d *ops.Database) (ops.NewTopic, error) {
			missing := ops.MissingTopic{Name: r.Topic}
			if r.Body == nil {
				return d.CreateTopic(ctx, by(ctx, ""), missing, a.Broker(r.Database))
			}
			missing.Like, missing.Partitions = r.Body.Like, r.Body.Partitions
			if r.Body.DryRun {
				return d.PlanTopic(ctx, missing, a.Broker(r.Database))
			}
			return d.CreateTopic(ctx, by(ctx, r.Body.Reason), missing, a.Broker(r.Database))
		})
	})
}
