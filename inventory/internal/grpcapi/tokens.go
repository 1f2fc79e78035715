package grpcapi

import (
	"context"
	"errors"
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
		who, err := tokens.Check(ctx, remote, header, info.FullMethod)
		blocked, tooMany := errors.AsType[*admin.TooManyError](err)
		switch {
		case tooMany:
			return nil, refusal(codes.ResourceExhausted, reasonTooManyTokens, err.Error(),
				&errdetails.RetryInfo{RetryDelay: durationpb.New(blocked.Wait)})
		case errors.Is(err, admin.ErrExpired):
			return nil, refusal(codes.Unauthenticated, reasonTokenRequired, err.Error())
		case errors.Is(err, admin.ErrUnknown):
			return nil, refusal(codes.Unauthenticated, reasonTokenRequired, "send a token of INVENTORY_ADMIN_TOKENS as metadata, authorization: Bearer …")
		case err != nil:
			return nil, refusal(codes.Unavailable, reasonTokenUnchecked, "who you are cannot be found out now: "+err.Error(),
				&errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)})
		case who.Role < admin.Operator:
			return nil, refusal(codes.PermissionDenied, reasonRoleRequired, fmt.Sprintf("%s has the role %s; this needs %s", who.Name, who.Role, admin.Operator))
		}
		return handle(ctx, in)
	}
}
