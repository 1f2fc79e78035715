package httpapi

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/outbox-relay/internal/ops"
)

// findTimeout bounds how long one database may take, so that one that hangs is named in the answer
// instead of keeping it.
const findTimeout = 1500 * time.Millisecond

// Source is how the relay of one database is doing in this process.
type Source struct {
	Database string    `json:"database"`
	State    string    `json:"state" enum:"connecting,standby,leading,paused" doc:"standby: another process leads, and knows of the broker."`
	Since    time.Time `json:"since"`
	// Problem and BrokerProblem are for people to read, and absent where nothing is wrong.
	Problem       string `json:"problem,omitempty" doc:"Why nothing of this database is relayed."`
	BrokerProblem string `json:"brokerProblem,omitempty" doc:"Why its rows wait for the broker."`
}

type sourceList struct {
	Sources []Source `json:"sources" nullable:"false"`
}

type messagesRequest struct {
	Key   string `query:"key" required:"true" minLength:"1" maxLength:"2048" doc:"The key of the messages."`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"The most messages to return of each database: the newest."`
	// Payload is for who shows them.
	Payload bool `query:"payload" doc:"With the first 64 KiB of each payload."`
}

// found is what the databases of this relay answer, and which of them do not.
type found[T any] struct {
	Databases   []T      `json:"databases" nullable:"false"`
	Unreachable []string `json:"unreachable" nullable:"false" doc:"The databases that did not answer in time."`
}

type deliveriesRequest struct {
	EventID []string `query:"eventId,explode" required:"true" minItems:"1" maxItems:"200" format:"uuid" doc:"The events to look for; can be repeated."`
}

type recentRequest struct {
	EventID string `query:"eventId" format:"uuid" doc:"The event to look for."`
	TraceID string `query:"traceId" pattern:"^[0-9a-f]{32}$" doc:"The trace to look for, as in traceparent."`
}

type databaseDeliveries struct {
	Database   string         `json:"database"`
	Deliveries []ops.Delivery `json:"deliveries" nullable:"false"`
}

// registerFinding adds what is asked about all databases at once, by what is in the messages: for
// the orchestrator's explain, and for anybody who follows a message.
func (a *API) registerFinding() {
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-sources", Method: http.MethodGet, Path: "/v1/sources", Summary: "How the relay of each database is doing in this process",
	}, func(context.Context, *struct{}) (*answer[sourceList], error) {
		return answered(sourceList{a.Sources()}, nil)
	})
	httpserver.Handle(a.operations, a.revealing(huma.Operation{
		OperationID: "find-messages", Method: http.MethodGet, Path: "/v1/messages", Summary: "The messages of a key in every outbox, and what became of them",
	}), func(ctx context.Context, r *messagesRequest) (*answer[found[ops.KeyMessages]], error) {
		return answered(everyDatabase(ctx, a, func(ctx context.Context, d *ops.Database) (ops.KeyMessages, error) {
			messages, err := d.Messages(ctx, r.Key, r.Limit, r.Payload)
			a.show(ctx, messages.Messages)
			return messages, err
		}), nil)
	})
	httpserver.Handle(a.operations, a.revealing(huma.Operation{
		OperationID: "find-recent-messages", Method: http.MethodGet, Path: "/v1/recent-messages",
		Summary: "The messages of an event or a trace among the newest 20,000 rows of every outbox, and what became of them",
	}), func(ctx context.Context, r *recentRequest) (*answer[found[ops.RecentMessages]], error) {
		if (r.EventID == "") == (r.TraceID == "") {
			return nil, huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{
				Location: "query", Message: "say one of eventId and traceId",
			})
		}
		return answered(everyDatabase(ctx, a, func(ctx context.Context, d *ops.Database) (ops.RecentMessages, error) {
			messages, err := d.Recent(ctx, r.EventID, r.TraceID)
			a.show(ctx, messages.Messages)
			return messages, err
		}), nil)
	})
	httpserver.Handle(a.operations, a.revealing(huma.Operation{
		OperationID: "find-deliveries", Method: http.MethodGet, Path: "/v1/deliveries", Summary: "Where events were handled, by the inbox of every database",
	}), func(ctx context.Context, r *deliveriesRequest) (*answer[found[databaseDeliveries]], error) {
		return answered(everyDatabase(ctx, a, func(ctx context.Context, d *ops.Database) (databaseDeliveries, error) {
			deliveries, err := d.Deliveries(ctx, r.EventID)
			return databaseDeliveries{d.Name, deliveries}, err
		}), nil)
	})
}

// show makes what who asks may see of messages.
func (a *API) show(ctx context.Context, messages []ops.Message) {
	for i := range messages {
		messages[i].Show(a.Masks, admin.RoleOf(ctx))
	}
}

// everyDatabase asks all databases in parallel.
func everyDatabase[T any](ctx context.Context, a *API, ask func(context.Context, *ops.Database) (T, error)) found[T] {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	answers, errs := make([]T, len(a.Databases)), make([]error, len(a.Databases))
	var asking sync.WaitGroup
	for i, d := range a.Databases {
		asking.Go(func() { answers[i], errs[i] = ask(ctx, d) })
	}
	asking.Wait()
	all := found[T]{Databases: []T{}, Unreachable: []string{}}
	for i, d := range a.Databases {
		if errs[i] != nil {
			a.Log.WarnContext(ctx, "request failed", "error", errs[i])
			all.Unreachable = append(all.Unreachable, d.Name)
			continue
		}
		all.Databases = append(all.Databases, answers[i])
	}
	return all
}
