// Package grpcapi is inventory's gRPC side: it shows stock, reserves and releases it for orders,
// and has clients watch it. A reservation made here and one made by a command of the saga are the
// same thing, decided by the same statements: an order has one.
//
// No event is published for what is decided here. InventoryReserved is the reply to a command, and
// the orchestrator refuses one that answers none; a saga that asks later gets it then, with the
// time of the reservation (docs/decisions/091).
package grpcapi

import (
	"cmp"
	"context"
	"log/slog"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"waybill.example/chassis/batch"
	"waybill.example/chassis/fault"
	"waybill.example/chassis/httpserver"
	chassispg "waybill.example/chassis/postgres"
	inventoryv1 "waybill.example/contracts/proto/inventory/v1"
	"waybill.example/inventory/internal/watch"
	"waybill.example/inventory/stock"
)

// Store is where stock and reservations are kept. An error wraps [stock.ErrNotFound] where there is
// no such sku.
type Store interface {
	Level(ctx context.Context, sku string) (stock.Level, error)
	Levels(ctx context.Context, page stock.Page) ([]stock.Level, error)
	// Execute carries out commands in one transaction, and returns what came of each. The error of
	// another transaction that was faster is a conflict. After any error the same commands may be
	// executed again.
	Execute(ctx context.Context, commands []stock.Command) ([]stock.Executed, error)
}

// API implements inventoryv1.InventoryServiceServer. Its errors are turned into statuses by
// [Calls] and [Streams].
type API struct {
	inventoryv1.UnimplementedInventoryServiceServer

	store    Store
	hub      *watch.Hub
	log      *slog.Logger
	commands *batch.Coalescer[stock.Command, stock.Executed]
}

// New returns the service.
func New(store Store, hub *watch.Hub, log *slog.Logger) *API {
	a := &API{store: store, hub: hub, log: log}
	// A client chooses its deadline, so it may leave; a command that is executed twice takes effect
	// once, so a batch may be taken apart after any error that one command may be the cause of.
	a.commands = batch.New(a.execute, batch.Options{
		Limit: maxCommands, MayLeave: true, CanSplit: func(err error) bool { return !chassispg.Unavailable(err) },
	})
	return a
}

// maxCommands bounds the commands of one transaction.
const maxCommands = 100

func toLevel(l stock.Level) *inventoryv1.StockLevel {
	return &inventoryv1.StockLevel{
		Sku: l.SKU, OnHand: l.OnHand, Reserved: l.Reserved(), Received: l.Received, UpdatedAt: timestamppb.New(l.UpdatedAt),
	}
}

func toLevels(levels []stock.Level) []*inventoryv1.StockLevel {
	out := make([]*inventoryv1.StockLevel, len(levels))
	for i, l := range levels {
		out[i] = toLevel(l)
	}
	return out
}

// GetStock implements inventoryv1.InventoryServiceServer.
func (a *API) GetStock(ctx context.Context, in *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
	if err := stock.CheckSKU(in.GetSku()); err != nil {
		return nil, invalid("sku", err.Error())
	}
	level, err := a.store.Level(ctx, in.GetSku())
	if err != nil {
		return nil, err
	}
	return &inventoryv1.GetStockResponse{Level: toLevel(level)}, nil
}

// ListStock implements inventoryv1.InventoryServiceServer.
func (a *API) ListStock(ctx context.Context, in *inventoryv1.ListStockRequest) (*inventoryv1.ListStockResponse, error) {
	page := httpserver.Page{Cursor: in.GetPageToken(), Limit: cmp.Or(int(in.GetPageSize()), httpserver.DefaultPage)}
	if page.Limit < 0 || page.Limit > httpserver.MaxPage {
		return nil, invalid("page_size", "must be between 1 and 500, or 0 for the default")
	}
	var after string
	if fields, err := httpserver.DecodeCursor(page.Cursor, 1); err != nil || fields != nil && stock.CheckSKU(fields[0]) != nil {
		return nil, invalid("page_token", "invalid page token")
	} else if fields != nil {
		after = fields[0]
	}
	levels, err := a.store.Levels(ctx, stock.Page{After: after, Limit: page.Fetch()})
	if err != nil {
		return nil, err
	}
	out := &inventoryv1.ListStockResponse{}
	levels, out.NextPageToken, _ = httpserver.Cut(ctx, page, levels, func(last stock.Level) string { return httpserver.EncodeCursor(last.SKU) })
	out.Levels = toLevels(levels)
	return out, nil
}

// Reserve implements inventoryv1.InventoryServiceServer.
func (a *API) Reserve(ctx context.Context, in *inventoryv1.ReserveRequest) (*inventoryv1.ReserveResponse, error) {
	command, err := reserveCommand(in)
	if err != nil {
		return nil, err
	}
	done, err := a.commands.Do(ctx, command)
	if err != nil {
		return nil, err
	}
	if done.Outcome == stock.Contradicted {
		a.log.WarnContext(ctx, "order asks for other items than at first", "order_id", command.OrderID, "method", "Reserve")
		return nil, errOtherItems
	}
	out := &inventoryv1.ReserveResponse{
		State: inventoryv1.ReservationState_RESERVATION_STATE_RESERVED, Reason: done.Reason,
		Repeated: done.Outcome == stock.Repeated, DecidedAt: timestamppb.New(done.Since),
	}
	if done.State == stock.Rejected {
		out.State = inventoryv1.ReservationState_RESERVATION_STATE_REJECTED
	}
	return out, nil
}

// Release implements inventoryv1.InventoryServiceServer.
func (a *API) Release(ctx context.Context, in *inventoryv1.ReleaseRequest) (*inventoryv1.ReleaseResponse, error) {
	if in.GetOrderId() <= 0 {
		return nil, invalid("order_id", "must be positive")
	}
	done, err := a.commands.Do(ctx, stock.Command{Action: stock.Release, OrderID: in.GetOrderId()})
	if err != nil {
		return nil, err
	}
	return &inventoryv1.ReleaseResponse{Repeated: done.Outcome == stock.Repeated, ReleasedAt: timestamppb.New(done.Since)}, nil
}

// conflictAttempts is how often commands are executed while other transactions are faster. A race
// for one order is over with the second.
const conflictAttempts = 8

// execute carries out the commands of calls that came at once, in one transaction.
func (a *API) execute(ctx context.Context, commands []stock.Command) (executed []stock.Executed, err error) {
	for range conflictAttempts {
		executed, err = a.store.Execute(ctx, commands)
		if err == nil || chassispg.Classify(err).Kind != fault.Conflict {
			break
		}
	}
	if slices.ContainsFunc(executed, func(e stock.Executed) bool { return e.Outcome == stock.Decided }) {
		a.hub.Wake()
	}
	return executed, err
}

// WatchStock implements inventoryv1.InventoryServiceServer.
func (a *API) WatchStock(in *inventoryv1.WatchStockRequest, stream inventoryv1.InventoryService_WatchStockServer) error {
	if err := checkWatched(in.GetSkus()); err != nil {
		return err
	}
	watcher := a.hub.Watch(in.GetSkus())
	defer watcher.Close()
	// A client whose skus do not exist yet learns at once that it is heard.
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for {
		levels, err := watcher.Next(stream.Context())
		if err != nil {
			return err
		}
		if err := stream.Send(&inventoryv1.WatchStockResponse{Levels: toLevels(levels)}); err != nil {
			return err
		}
	}
}
