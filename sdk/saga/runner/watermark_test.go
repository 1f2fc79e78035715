package runner

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"testing"
	"time"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga/runner/store"
)

// topics is the topics of a broker and how far they have been read.
type topics struct {
	spans map[inbox.Partition]inbox.Span
	read  map[inbox.Partition]int64
	down  error
	at    time.Time
}

func (b *topics) watermark() *watermark {
	return &watermark{
		ends:      func(context.Context) (map[inbox.Partition]inbox.Span, error) { return b.spans, b.down },
		positions: func(context.Context) (map[inbox.Partition]int64, error) { return b.read, nil },
		now:       func() time.Time { return b.at },
		log:       slog.New(slog.DiscardHandler),
	}
}

func at(topic string, partition int32) inbox.Partition {
	return inbox.Partition{Topic: topic, Partition: partition}
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func requireAll(t *testing.T, read store.Read, want time.Time, why string) {
	t.Helper()
	if !read.All.Equal(want) {
		t.Fatalf("read up to %s, want %s: %s", read.All, want, why)
	}
}

func TestWatermark_NothingIsReadWhileNothingIsKnown(t *testing.T) {
	t.Parallel()
	b := &topics{down: errors.New("no broker answers"), at: noon}
	w := b.watermark()
	requireAll(t, w.advance(t.Context()), time.Time{}, "the broker is down")
	b.down, b.spans = nil, map[inbox.Partition]inbox.Span{at("a", 0): {}}
	requireAll(t, w.advance(t.Context()), noon, "an empty partition has been read")
	b.at, b.down = noon.Add(time.Hour), errors.New("no broker answers")
	requireAll(t, w.advance(t.Context()), noon, "what has come since is not known")
}

// While messages keep coming there is always a newer end ahead; time passes with the ends that have
// been passed.
func TestWatermark_FollowsAReaderThatIsAlwaysBehind(t *testing.T) {
	t.Parallel()
	b := &topics{at: noon, spans: map[inbox.Partition]inbox.Span{}, read: map[inbox.Partition]int64{}}
	w := b.watermark()
	var read store.Read
	for second := range int64(120) {
		b.at = noon.Add(time.Duration(second) * time.Second)
		b.spans[at("a", 0)] = inbox.Span{End: 100 * (second + 1)}
		b.read[at("a", 0)] = 100*(second+1) - 1000 // ten seconds behind
		read = w.advance(t.Context())
	}
	if behind := b.at.Sub(read.All); behind < 9*time.Second || behind > 21*time.Second {
		t.Fatalf("%s behind, want ten to twenty seconds", behind)
	}
	b.read[at("a", 0)] = b.spans[at("a", 0)].End
	requireAll(t, w.advance(t.Context()), b.at, "it has caught up")
}

// The messages of a saga have one partition number in all topics: it waits for that partition, and
// not for the slowest.
func TestWatermark_IsOfEachPartition(t *testing.T) {
	t.Parallel()
	b := &topics{
		at: noon,
		spans: map[inbox.Partition]inbox.Span{
			at("a", 0): {First: 5, End: 10}, at("a", 1): {End: 10}, at("b", 0): {End: 3}, at("b", 1): {End: 3},
		},
		read: map[inbox.Partition]int64{at("a", 0): 10, at("b", 0): 3, at("a", 1): 9, at("b", 1): 3},
	}
	read := b.watermark().advance(t.Context())
	requireAll(t, read, time.Time{}, "one partition has not been read")
	if want := (map[int32]time.Time{0: noon, 1: {}}); !maps.Equal(want, read.Partitions) {
		t.Fatalf("got %v, want %v", read.Partitions, want)
	}

	// With another number of partitions in each, it is not known which belong together.
	b.spans[at("b", 2)] = inbox.Span{}
	read = b.watermark().advance(t.Context())
	requireAll(t, read, time.Time{}, "the slowest has not been read")
	if len(read.Partitions) > 0 {
		t.Fatalf("partitions are listed: %v", read.Partitions)
	}
}

func TestWatermark_WhatRetentionRemovedNeedNotBeRead(t *testing.T) {
	t.Parallel()
	b := &topics{at: noon, spans: map[inbox.Partition]inbox.Span{at("a", 0): {First: 7, End: 7}}}
	requireAll(t, b.watermark().advance(t.Context()), noon, "nothing is left to read")
}
