package grpcserver

import (
	"bytes"
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// gRPC answers a message that cannot be read with INTERNAL, as if something were wrong here, and
// has sent that before any interceptor runs. But a text that is not UTF-8, for instance, is the
// sender's fault. So the codec passes such a message on with a mark, and the interceptors refuse
// it.

// unreadable is the mark: a field that no message has.
var unreadable = protowire.AppendString(protowire.AppendTag(nil, protowire.MaxValidNumber, protowire.BytesType), "unreadable")

var errUnreadable = status.Error(codes.InvalidArgument, "the message cannot be read: invalid protobuf, or a text that is not UTF-8")

// markingCodec is the codec of protobuf.
type markingCodec struct{ encoding.CodecV2 }

func newCodec() markingCodec { return markingCodec{encoding.GetCodecV2(protocodec.Name)} }

// Unmarshal implements encoding.CodecV2.
func (c markingCodec) Unmarshal(data mem.BufferSlice, into any) error {
	err := c.CodecV2.Unmarshal(data, into)
	message, is := into.(proto.Message)
	if err == nil || !is {
		return err
	}
	proto.Reset(message)
	message.ProtoReflect().SetUnknown(unreadable)
	return nil
}

// check returns an error for a message with the mark.
func check(message any) error {
	if m, is := message.(proto.Message); is && bytes.Equal(m.ProtoReflect().GetUnknown(), unreadable) {
		return errUnreadable
	}
	return nil
}

func readableCall(ctx context.Context, in any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := check(in); err != nil {
		return nil, err
	}
	return handle(ctx, in)
}

func readableStream(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	return handle(service, checkedStream{stream})
}

type checkedStream struct{ grpc.ServerStream }

// RecvMsg implements grpc.ServerStream.
func (s checkedStream) RecvMsg(message any) error {
	if err := s.ServerStream.RecvMsg(message); err != nil {
		return err
	}
	return check(message)
}
