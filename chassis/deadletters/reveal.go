package deadletters

import (
	"context"
	"slices"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/masking"
	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/payload"
)

// delivery is a dead letter as the consumer got it.
func delivery(l deadletter.Letter) inbox.Delivery {
	d := inbox.Delivery{Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Key: l.Key, Value: l.Payload}
	for _, h := range l.Headers {
		d.Headers = append(d.Headers, inbox.Header(h))
	}
	return d
}

// revealed is a dead letter for people: with its payload decoded, if this process can, and how it
// is encoded in words. The headers stay those that came.
func (s *Service) revealed(ctx context.Context, l deadletter.Letter) (shown deadletter.Letter, encoding string) {
	d := delivery(l)
	encoding = payload.Describe(d.Header)
	codec := s.Redriver.Payloads()
	if codec == nil || encoding == "" || !l.Whole {
		return l, encoding
	}
	plain, err := inbox.DecodePayload(ctx, codec, d)
	if err != nil {
		return l, encoding + "; not decoded: " + err.Error()
	}
	l.Payload, l.PayloadBytes = plain.Value, int64(len(plain.Value))
	return l, encoding
}

// view is the payload of a dead letter, decoded, as who asks may see it. What is cut is not JSON.
func (s *Service) view(ctx context.Context, l deadletter.Letter) masking.View {
	return s.Masks.Message(admin.RoleOf(ctx), l.Topic, l.Type, l.Payload)
}

// letter is a dead letter as who asks may see it. Its reason may quote the message; where something
// of that is hidden from them, its cause says why it could not be applied.
func (s *Service) letter(ctx context.Context, l deadletter.Letter) DeadLetter {
	shown := toLetter(l)
	if shown.Reason != "" && s.Masks.HidesMessage(admin.RoleOf(ctx), l.Topic, l.Type) {
		shown.Reason = shown.Cause
	}
	return shown
}

// plainHeaders are those of a message that is not encoded: what an edited copy begins with.
func (s *Service) plainHeaders(ctx context.Context, l deadletter.Letter) []inbox.Header {
	if d, err := inbox.DecodePayload(ctx, s.Redriver.Payloads(), delivery(l)); err == nil {
		return slices.Clone(d.Headers)
	}
	// What cannot be decoded is replaced.
	return slices.DeleteFunc(delivery(l).Headers, func(h inbox.Header) bool { return payload.IsCodecHeader(h.Key) })
}
