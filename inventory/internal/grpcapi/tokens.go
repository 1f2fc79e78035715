package grpcapi

import (
	"context"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/types/known/durationpb"

	"waybill.example/chassis/admin"
	inventoryv1 "waybill.example/contracts/proto/inventory/v1"
)

// changes are the methods that need a token, where there are any.
var changes = map[string]bool{
	inventoryv1.InventoryService_Reserve_FullMethodName: true,
	inventoryv1.InventoryService_Release_FullMethodName: true,
}

// Guard lets only holders of a token change anything, who send it as `authorization: Bearer …` in
// the metadata. Reading needs none. Too many wrong tokens of one address are answered without a
// look at the next, as over HTTP.
func Guard(tokens admin.Tokens) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, in any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if !changes[info.FullMethod] {
			return handle(ctx, in)
		}
		var header, remote string
		if values := metadata.ValueFromIncomingContext(ctx, "authorization"); len(values) == 1 {
			header = values[0]
		}
		if from, ok := peer.FromContext(ctx); ok {
			remote = from.Addr.String()
		}
		who, wait, ok := tokens.Check(remote, header)
		switch {
		case wait > 0:
			return nil, refusal(codes.ResourceExhausted, reasonTooManyTokens, "too many wrong tokens came from this address",
				&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
		case !ok:
			return nil, refusal(codes.Unauthenticated, reasonTokenRequired, "send a token of INVENTORY_ADMIN_TOKENS as metadata, authorization: Bearer …")
		case who.Role < admin.Operator:
			return nil, refusal(codes.PermissionDenied, reasonRoleRequired, fmt.Sprintf("%s has the role %s; this needs %s", who.Name, who.Role, admin.Operator))
		}
		return handle(ctx, in)
	}
}
