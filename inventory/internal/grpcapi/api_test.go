package grpcapi_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"waybill.example/chassis/admin"
	inventoryv1 "waybill.example/contracts/proto/inventory/v1"
	"waybill.example/inventory/internal/grpcapi"
)

// requireRefused looks for the code and the reason of an error.
func requireRefused(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	s := status.Convert(err)
	require.Equal(t, code, s.Code(), "%v", err)
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			require.Equal(t, reason, info.GetReason())
			return
		}
	}
	t.Fatalf("%v has no ErrorInfo", err)
}

// requireInvalid looks for the field that a BadRequest names.
func requireInvalid(t *testing.T, err error, field string) {
	t.Helper()
	s := status.Convert(err)
	require.Equal(t, codes.InvalidArgument, s.Code(), "%v", err)
	require.Len(t, s.Details(), 1)
	violations := s.Details()[0].(*errdetails.BadRequest).GetFieldViolations()
	require.Len(t, violations, 1)
	require.Equal(t, field, violations[0].GetField())
}

func TestListStock_PagesAreCompleteAndInOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, sku := range []string{"a", "z", "é"} {
		b.put(sku, 1)
	}
	var skus []string
	for token, first := "", true; first || token != ""; first = false {
		page, err := b.ListStock(t.Context(), &inventoryv1.ListStockRequest{PageSize: 3, PageToken: token})
		require.NoError(t, err)
		for _, l := range page.GetLevels() {
			skus = append(skus, l.GetSku())
		}
		token = page.GetNextPageToken()
	}
	require.Equal(t, []string{"a", "burger", "z", "é"}, skus)
}

func TestAPI_WhatIsInvalidIsNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	list := func(in *inventoryv1.ListStockRequest) error { _, err := b.ListStock(t.Context(), in); return err }
	requireInvalid(t, list(&inventoryv1.ListStockRequest{PageSize: 501}), "page_size")
	requireInvalid(t, list(&inventoryv1.ListStockRequest{PageSize: -1}), "page_size")
	requireInvalid(t, list(&inventoryv1.ListStockRequest{PageToken: "%"}), "page_token")
	requireInvalid(t, list(&inventoryv1.ListStockRequest{PageToken: "AAAA"}), "page_token")

	reserve := func(order int64, lines ...any) error { _, err := b.reserve(order, lines...); return err }
	requireInvalid(t, reserve(0, "burger", 1), "order_id")
	requireInvalid(t, reserve(-1, "burger", 1), "order_id")
	requireInvalid(t, reserve(1), "items")
	requireInvalid(t, reserve(1, "burger", 0), "items[0].quantity")
	requireInvalid(t, reserve(1, "burger", 1_000_001), "items[0].quantity")
	requireInvalid(t, reserve(1, "burger", 1, "burger", 1), "items[1].sku")
	_, err := b.Release(t.Context(), &inventoryv1.ReleaseRequest{})
	requireInvalid(t, err, "order_id")

	for _, sku := range []string{"", "\x00", "bur\nger", "\u0085", strings.Repeat("x", 129)} {
		_, err := b.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: sku})
		requireInvalid(t, err, "sku")
		requireInvalid(t, reserve(1, "burger", 1, sku, 1), "items[1].sku")
		stream, err := b.WatchStock(t.Context(), &inventoryv1.WatchStockRequest{Skus: []string{sku}})
		require.NoError(t, err)
		_, err = stream.Recv()
		requireInvalid(t, err, "skus[0]")
	}
	require.Zero(t, b.count("reservations"))

	_, err = b.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "pizza"})
	requireRefused(t, err, codes.NotFound, "SKU_NOT_FOUND")
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return nil }
func (rawCodec) Name() string                         { return "proto" }

var _ encoding.CodecV2 = rawCodec{}

func TestAPI_WhatCannotBeReadIsTheClientsFault(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, message := range map[string][]byte{
		"no UTF-8": {0x0a, 2, 0xc3, 0x28}, "cut short": {0x0a, 200}, "garbage": []byte("\xff\xff\xff\xff"),
	} {
		err := b.conn.Invoke(t.Context(), inventoryv1.InventoryService_GetStock_FullMethodName, message, nil, grpc.ForceCodecV2(rawCodec{}))
		require.Equal(t, codes.InvalidArgument, status.Code(err), "%s: %v", name, err)
		stream, err := b.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, inventoryv1.InventoryService_WatchStock_FullMethodName, grpc.ForceCodecV2(rawCodec{}))
		require.NoError(t, err)
		require.NoError(t, stream.SendMsg(message))
		require.NoError(t, stream.CloseSend())
		require.Equal(t, codes.InvalidArgument, status.Code(stream.RecvMsg(nil)), name)
	}
	large := &inventoryv1.GetStockRequest{Sku: strings.Repeat("x", 65<<10)}
	_, err := b.GetStock(t.Context(), large)
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
}

func TestAPI_DatabaseThatIsUnavailableIsToBeTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.pool.Close()
	_, err := b.reserve(1, "burger", 1)
	requireRefused(t, err, codes.Unavailable, "DATABASE_UNAVAILABLE")
	require.Len(t, status.Convert(err).Details(), 2, "and when")
	stream, err := b.WatchStock(t.Context(), &inventoryv1.WatchStockRequest{Skus: []string{"burger"}})
	require.NoError(t, err)
	_, err = stream.Recv()
	requireRefused(t, err, codes.Unavailable, "DATABASE_UNAVAILABLE")
}

func TestCalls_AnErrorOfOursSaysNothing(t *testing.T) {
	t.Parallel()
	calls := grpcapi.Calls(slog.New(slog.DiscardHandler))
	_, err := calls(t.Context(), nil, &grpc.UnaryServerInfo{}, func(context.Context, any) (any, error) { return nil, errors.New("password=hush") })
	require.Equal(t, codes.Internal, status.Code(err))
	require.NotContains(t, err.Error(), "hush")
}

func TestGuard_ChangesNeedATokenAndReadingNone(t *testing.T) {
	t.Parallel()
	tokens, err := admin.Parse("INVENTORY_ADMIN_TOKENS", []string{"shop=correct-horse-battery"})
	require.NoError(t, err)
	b := newBench(t, grpcapi.Guard(tokens))
	with := func(token string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	}
	_, err = b.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "burger"})
	require.NoError(t, err)
	request := &inventoryv1.ReserveRequest{OrderId: 1, Items: items("burger", 1)}
	_, err = b.Reserve(t.Context(), request)
	requireRefused(t, err, codes.Unauthenticated, "TOKEN_REQUIRED")
	_, err = b.Release(with("wrong-wrong-wrong-wrong"), &inventoryv1.ReleaseRequest{OrderId: 1})
	requireRefused(t, err, codes.Unauthenticated, "TOKEN_REQUIRED")
	require.Zero(t, b.count("reservations"))
	_, err = b.Reserve(with("correct-horse-battery"), request)
	require.NoError(t, err)
	for range 20 {
		_, err = b.Reserve(with("wrong-wrong-wrong-wrong"), request)
	}
	requireRefused(t, err, codes.ResourceExhausted, "TOO_MANY_WRONG_TOKENS")
}
