package tracing

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"waybill.example/sdk/tracecontext"
)

// sampler is that of OTEL_TRACES_SAMPLER. The SDK would read the variable itself, but can be asked
// only by starting a span, with all that a span is made of.
type sampler struct {
	sdktrace.Sampler

	// parentBased: what has begun elsewhere is recorded if it is there.
	parentBased bool
}

// newSampler returns the sampler with one of the names that OpenTelemetry specifies, "" for the
// default. With an error it is the default, too: it records all but what is not recorded elsewhere.
func newSampler(name, arg string) (sampler, error) {
	all := sampler{sdktrace.ParentBased(sdktrace.AlwaysSample()), true}
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" {
		return all, nil
	}
	kind, parentBased := strings.CutPrefix(name, "parentbased_")
	root, err := rootSampler(kind, strings.TrimSpace(arg))
	switch {
	case err != nil:
		return all, err
	case parentBased:
		return sampler{sdktrace.ParentBased(root), true}, nil
	}
	return sampler{root, false}, nil
}

func rootSampler(kind, arg string) (sdktrace.Sampler, error) {
	switch kind {
	case "always_on":
		return sdktrace.AlwaysSample(), nil
	case "always_off":
		return sdktrace.NeverSample(), nil
	case "traceidratio":
		ratio, err := strconv.ParseFloat(cmp.Or(arg, "1"), 64)
		if err != nil || !(ratio >= 0 && ratio <= 1) {
			return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, not %q", arg)
		}
		return sdktrace.TraceIDRatioBased(ratio), nil
	}
	return nil, fmt.Errorf("OTEL_TRACES_SAMPLER must be always_on, always_off or traceidratio, or one of them after parentbased_, not %q", kind)
}

// ShouldSample implements [sdktrace.Sampler]. The span of a batch belongs to the messages that it
// is linked to, and is made only if one of them is recorded.
func (s sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	for _, link := range p.Links {
		if link.SpanContext.IsSampled() {
			return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
		}
	}
	return s.Sampler.ShouldSample(p)
}

// entry decides about what comes from outside with this traceparent, before anything is made for
// it: whether it is recorded, and as which trace if it begins one. It takes no memory.
func (s sampler) entry(received string) (begins trace.TraceID, recorded bool) {
	received = tracecontext.Parse(received)
	if received == "" {
		begins = newTraceID()
		return begins, s.judge(begins)
	}
	if s.parentBased {
		return begins, sampled(received)
	}
	id, err := trace.TraceIDFromHex(tracecontext.TraceID(received))
	return begins, err == nil && s.judge(id)
}

// judge asks about a trace that has no parent. These samplers look at the id alone.
func (s sampler) judge(id trace.TraceID) bool {
	return s.Sampler.ShouldSample(sdktrace.SamplingParameters{TraceID: id}).Decision == sdktrace.RecordAndSample
}

// beginsKey is under which a context has the id of a trace that begins: the one that was sampled.
type beginsKey struct{}

// ids are those of spans, with the trace ids that were decided about.
type ids struct{}

// NewIDs implements [sdktrace.IDGenerator].
func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, ok := ctx.Value(beginsKey{}).(trace.TraceID)
	if !ok {
		id = newTraceID()
	}
	return id, newSpanID()
}

// NewSpanID implements [sdktrace.IDGenerator].
func (ids) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return newSpanID() }

// Ids have to differ, and may be guessed: they say nothing and open nothing. 0 is none.

func newTraceID() (id trace.TraceID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}

func newSpanID() (id trace.SpanID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}
