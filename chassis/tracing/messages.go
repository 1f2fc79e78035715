package tracing

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/tracecontext"
)

// Row is an outbox row that the broker has acknowledged.
type Row struct {
	Database string
	ID       int64
	EventID  uuid.UUID
	Topic    string
	Type     string
	Headers  []byte // the JSON object, as Postgres writes it
	Inserted time.Time
}

// Published makes the span of a row from its insert to the broker's acknowledgement, which is now,
// if the row belongs to a trace. The message keeps the row's traceparent: a row and a message are
// the same thing to those who wait for it. It returns the trace's id, "" if there is none.
func Published(row Row) (traceID string) {
	_, value, _ := bytes.Cut(row.Headers, named)
	traceparent, _, _ := bytes.Cut(value, []byte{'"'})
	if !sampled(traceparent) {
		return "" // most rows, which are done with for a search of few bytes
	}
	ctx, valid := parent(string(traceparent))
	if !valid {
		return ""
	}
	_, span := tracer().Start(ctx, "send "+row.Topic, trace.WithSpanKind(trace.SpanKindProducer), trace.WithTimestamp(row.Inserted),
		trace.WithAttributes(
			semconv.MessagingSystemKafka, semconv.MessagingOperationTypeSend, semconv.MessagingOperationName("send"),
			semconv.MessagingDestinationName(row.Topic), semconv.MessagingMessageID(row.EventID.String()),
			attribute.String("waybill.message.type", row.Type), attribute.String("waybill.database", row.Database),
			attribute.Int64("waybill.outbox.id", row.ID)))
	defer span.End()
	if !span.IsRecording() {
		return ""
	}
	return span.SpanContext().TraceID().String()
}

// named is where the value of a traceparent begins in an object as Postgres writes it: within a
// string of it the quotes would have backslashes.
var named = []byte(`"` + tracecontext.Header + `": "`)

// Process begins the spans of a batch of messages that one transaction applies: one of each message
// that belongs to a trace, below what caused it. The statements come below it where it is the only
// one, and otherwise below a span of the batch, which is linked to the others. The messages that
// are returned carry the traceparents of their spans, so that what they cause comes below them. end
// takes the transaction's error. A batch of which nothing is recorded is returned as it came.
func Process(ctx context.Context, group string, batch []inbox.Delivery) (context.Context, []inbox.Delivery, func(error)) {
	if first := slices.IndexFunc(batch, belongs); first >= 0 {
		return process(ctx, group, batch, first)
	}
	return ctx, batch, nothing
}

func nothing(error) {}

// belongs looks at a message's flag alone.
func belongs(d inbox.Delivery) bool {
	at := position(d.Headers)
	return at >= 0 && sampled(d.Headers[at].Value)
}

func position(headers []inbox.Header) int {
	return slices.IndexFunc(headers, func(h inbox.Header) bool { return h.Key == tracecontext.Header })
}

func process(ctx context.Context, group string, batch []inbox.Delivery, first int) (context.Context, []inbox.Delivery, func(error)) {
	var spans []trace.Span
	var links []trace.Link
	traced := batch
	for i, d := range batch[first:] {
		span := started(group, d)
		if span == nil {
			continue
		}
		if spans == nil {
			traced = slices.Clone(batch)
		}
		spans, links = append(spans, span), append(links, trace.Link{SpanContext: span.SpanContext()})
		traced[first+i].Headers = replaced(d.Headers, Traceparent(trace.ContextWithSpan(ctx, span)))
	}
	switch len(spans) {
	case 0:
		return ctx, batch, nothing
	case 1:
		return trace.ContextWithSpan(ctx, spans[0]), traced, func(err error) { end(spans, err) }
	}
	ctx, whole := tracer().Start(ctx, "process batch", trace.WithNewRoot(), trace.WithLinks(links...), trace.WithAttributes(
		semconv.MessagingSystemKafka, semconv.MessagingBatchMessageCount(len(batch)), semconv.MessagingConsumerGroupName(group)))
	return ctx, traced, func(err error) { end(append(spans, whole), err) }
}

// started is the span of a message; nil if it is not recorded.
func started(group string, d inbox.Delivery) trace.Span {
	if !belongs(d) {
		return nil
	}
	above, valid := parent(d.Header(tracecontext.Header))
	if !valid {
		return nil
	}
	_, span := tracer().Start(above, "process "+d.Topic, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		semconv.MessagingSystemKafka, semconv.MessagingOperationTypeProcess, semconv.MessagingOperationName("process"),
		semconv.MessagingDestinationName(d.Topic), semconv.MessagingDestinationPartitionID(strconv.Itoa(int(d.Partition))),
		semconv.MessagingKafkaOffset(int(d.Offset)), semconv.MessagingConsumerGroupName(group),
		semconv.MessagingKafkaMessageKey(string(d.Key)), semconv.MessagingMessageID(d.Header("ce_id")),
		attribute.String("waybill.message.type", d.Header("ce_type"))))
	if !span.IsRecording() {
		return nil
	}
	return span
}

func end(spans []trace.Span, err error) {
	for _, span := range spans {
		if err != nil {
			span.SetStatus(codes.Error, "the transaction was rolled back")
			span.RecordError(err)
		}
		span.End()
	}
}

// replaced is a message's headers with another traceparent.
func replaced(headers []inbox.Header, traceparent string) []inbox.Header {
	headers = slices.Clone(headers)
	headers[position(headers)].Value = []byte(traceparent)
	return headers
}
