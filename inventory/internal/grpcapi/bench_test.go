package grpcapi_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"waybill.example/chassis/fault"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/contracts"
	inventoryv1 "waybill.example/contracts/proto/inventory/v1"
	"waybill.example/devstack/pgtest"
	"waybill.example/inventory/internal/consumer"
	"waybill.example/inventory/internal/grpcapi"
	"waybill.example/inventory/internal/grpcserver"
	"waybill.example/inventory/internal/postgres"
	"waybill.example/inventory/internal/watch"
	"waybill.example/inventory/stock"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// patience is what a test waits for what must come.
const patience = time.Minute

// bench is the service on a database of its own, with a client, and the handler of commands beside
// it, fed by hand.
type bench struct {
	inventoryv1.InventoryServiceClient

	t       *testing.T
	pool    *pgxpool.Pool
	store   *postgres.Store
	handler *consumer.Handler
	conn    *grpc.ClientConn
	addr    string
	stop    func()
	offset  int64
}

func newBench(t *testing.T, guards ...grpc.UnaryServerInterceptor) *bench {
	t.Helper()
	db, log := pgtest.New(t, migrations.Outbox, migrations.Inventory), slog.New(slog.DiscardHandler)
	b := &bench{t: t, pool: db.Pool, store: postgres.NewStore(db.Pool)}
	b.handler = consumer.New(db.Pool, b.store, log, prometheus.NewRegistry())
	hub := watch.NewHub(b.store.LevelsOf)
	server, err := grpcserver.New(grpcserver.Config{Addr: "127.0.0.1:0"}, grpcserver.Options{
		Log: log, Metrics: prometheus.NewRegistry(), Ready: chassispg.Check(db.Pool),
		Unary: append([]grpc.UnaryServerInterceptor{grpcapi.Calls(log)}, guards...), Stream: grpcapi.Streams(log),
	})
	require.NoError(t, err)
	inventoryv1.RegisterInventoryServiceServer(server, grpcapi.New(b.store, hub, log))
	b.addr = server.Addr()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // the test's own ends before its cleanups
	served, watched := make(chan error, 1), make(chan error, 1)
	go func() { served <- server.Run(ctx) }()
	go func() { watched <- hub.Run(ctx) }()
	stopped := false
	b.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(t, <-served)
			require.NoError(t, <-watched)
		}
	}
	t.Cleanup(b.stop)
	b.conn = b.dial()
	b.InventoryServiceClient = inventoryv1.NewInventoryServiceClient(b.conn)
	b.put("burger", 5)
	return b
}

func (b *bench) dial(options ...grpc.DialOption) *grpc.ClientConn {
	b.t.Helper()
	conn, err := grpc.NewClient(b.addr, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (b *bench) put(sku string, onHand int64) {
	b.t.Helper()
	_, err := b.store.Change(b.t.Context(), stock.Change{SKU: sku, Kind: stock.KindSet, Amount: onHand, Origin: stock.Origin{Actor: "tester"}})
	require.NoError(b.t, err)
}

func (b *bench) requireLevel(sku string, onHand, reserved int64) {
	b.t.Helper()
	level, err := b.store.Level(b.t.Context(), sku)
	require.NoError(b.t, err)
	require.Equal(b.t, []int64{onHand, reserved}, []int64{level.OnHand, level.Reserved()})
	var broken int
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), "select count(*) from stock_audit").Scan(&broken))
	require.Zero(b.t, broken, "stock is not conserved")
}

// count returns how many rows a condition on a table has.
func (b *bench) count(from string) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), "select count(*) from "+from).Scan(&n))
	return n
}

func items(lines ...any) (all []*inventoryv1.Item) {
	for i := 0; i < len(lines); i += 2 {
		all = append(all, &inventoryv1.Item{Sku: lines[i].(string), Quantity: int32(lines[i+1].(int))})
	}
	return all
}

func (b *bench) reserve(order int64, lines ...any) (*inventoryv1.ReserveResponse, error) {
	return b.Reserve(b.t.Context(), &inventoryv1.ReserveRequest{OrderId: order, Items: items(lines...)})
}

// command delivers a command as Kafka would, again while another transaction is faster. Of one
// partition only one may be under way.
func (b *bench) command(m contracts.Message, partition int32, offset int64) error {
	record, err := contracts.Encode(m)
	if err != nil {
		return err
	}
	d := inbox.Delivery{Topic: contracts.TopicInventoryCommands, Partition: partition, Offset: offset, Key: []byte(record.Key), Value: record.Payload}
	for {
		err := b.handler.Process(b.t.Context(), []inbox.Delivery{d})
		if err == nil || chassispg.Classify(err).Kind != fault.Conflict {
			return err
		}
	}
}

func (b *bench) process(m contracts.Message) {
	b.t.Helper()
	b.offset++
	require.NoError(b.t, b.command(m, 0, b.offset))
}

func reserveCommand(order int64, sku string, quantity int32) contracts.ReserveInventory {
	return contracts.ReserveInventory{Envelope: contracts.NewEnvelope(order, uuid.Nil, time.Now()), SKU: sku, Quantity: quantity}
}

func releaseCommand(order int64) contracts.ReleaseInventory {
	return contracts.ReleaseInventory{Envelope: contracts.NewEnvelope(order, uuid.Nil, time.Now())}
}
