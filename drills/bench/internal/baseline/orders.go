package baseline

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/lifecycle"
	"waybill.example/chassis/postgres"
	"waybill.example/chassis/telemetry"
	"waybill.example/contracts"
)

type orders struct {
	pool      *pgxpool.Pool
	publisher *publisher
}

// Orders is the process that takes orders, and confirms them when Inventory has answered.
func Orders(ctx context.Context, cfg Config, log *slog.Logger) error {
	pool, err := postgres.Open(ctx, cfg.Postgres, "baseline-orders")
	if err != nil {
		return err
	}
	defer pool.Close()
	o := &orders{pool: pool}
	if o.publisher, err = newPublisher(cfg.Kafka, "baseline-orders", log); err != nil {
		return err
	}
	defer o.publisher.client.Close()
	server, err := httpserver.New(httpserver.Config{Addr: cfg.Addr}, httpserver.Options{
		Title: "Orders by hand", Version: "1", Log: log, Metrics: telemetry.Metrics(),
		Checks: []httpserver.Check{{Name: "postgres", Required: true, Run: postgres.Check(pool)}},
	})
	if err != nil {
		return err
	}
	huma.Register(server.API, huma.Operation{
		OperationID: "placeOrder", Method: http.MethodPost, Path: "/v1/orders", DefaultStatus: http.StatusAccepted,
	}, o.place)
	huma.Register(server.API, huma.Operation{
		OperationID: "getOrder", Method: http.MethodGet, Path: "/v1/orders/{id}",
	}, o.get)
	var group lifecycle.Group
	group.Add("consumer", func(ctx context.Context) error {
		return consume(ctx, cfg.Kafka, "baseline-orders", TopicInventory, o.confirm)
	})
	group.Add("http", server.Run)
	return group.Run(ctx, log, 10*time.Second)
}

type placeInput struct {
	Body struct {
		UserID   string `json:"userId" minLength:"1" maxLength:"128"`
		SKU      string `json:"sku" minLength:"1" maxLength:"128"`
		Quantity int32  `json:"quantity" minimum:"1" maximum:"1000000"`
		Note     string `json:"note,omitempty" maxLength:"1000"`
	}
}

type placeOutput struct {
	Body struct {
		ID int64 `json:"id"`
	}
}

const insertSQL = `insert into orders (user_id, sku, quantity, note) values ($1, $2, $3, $4) returning id`

func (o *orders) place(ctx context.Context, in *placeInput) (*placeOutput, error) {
	out := &placeOutput{}
	if err := o.pool.QueryRow(ctx, insertSQL, in.Body.UserID, in.Body.SKU, in.Body.Quantity, in.Body.Note).Scan(&out.Body.ID); err != nil {
		return nil, err
	}
	event, err := contracts.Encode(contracts.OrderCreated{
		Envelope: contracts.NewEnvelope(out.Body.ID, uuid.Nil, time.Now()),
		UserID:   in.Body.UserID, SKU: in.Body.SKU, Quantity: in.Body.Quantity,
	})
	if err != nil {
		return nil, err
	}
	if err := o.publisher.publish(TopicOrders, event.Key, event.Payload); err != nil {
		return nil, err // the order is there, and nobody will ever hear of it
	}
	return out, nil
}

type getInput struct {
	ID string `path:"id"`
}

type getOutput struct {
	Body struct {
		ID     int64  `json:"id"`
		Status string `json:"status"`
	}
}

const getSQL = `select id, status from orders where id = $1`

func (o *orders) get(ctx context.Context, in *getInput) (*getOutput, error) {
	id, err := strconv.ParseInt(in.ID, 10, 64)
	if err != nil {
		return nil, huma.Error400BadRequest("the id is no number")
	}
	out := &getOutput{}
	return out, o.pool.QueryRow(ctx, getSQL, id).Scan(&out.Body.ID, &out.Body.Status)
}

const confirmSQL = `update orders set status = 'CONFIRMED' where id = $1 and status = 'PENDING'`

func (o *orders) confirm(ctx context.Context, value []byte) error {
	message, err := contracts.Decode(contracts.TopicInventory, value, noHeaders)
	if err != nil {
		return err
	}
	if _, err := o.pool.Exec(ctx, confirmSQL, message.Meta().OrderID); err != nil {
		return fmt.Errorf("confirm an order: %w", err)
	}
	return nil
}

func noHeaders(string) string { return "" }
