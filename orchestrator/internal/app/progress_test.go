package app

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/kafka"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga/runner/store"
)

// topics is two topics in a broker and how far they have been read.
type topics struct {
	spans map[inbox.Partition]kafka.Span
	read  map[inbox.Partition]int64
	down  error
	at    time.Time
}

func (b *topics) progress() *progress {
	return &progress{
		ends:      func(context.Context) (map[inbox.Partition]kafka.Span, error) { return b.spans, b.down },
		positions: func(context.Context) (map[inbox.Partition]int64, error) { return b.read, nil },
		now:       func() time.Time { return b.at },
	}
}

func at(topic string, partition int32) inbox.Partition {
	return inbox.Partition{Topic: topic, Partition: partition}
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestProgress_NothingIsReadWhileNothingIsKnown(t *testing.T) {
	t.Parallel()
	b := &topics{down: errors.New("no broker answers"), at: noon}
	p := b.progress()
	require.True(t, p.read(t.Context()).All.IsZero())
	b.down, b.spans = nil, map[inbox.Partition]kafka.Span{at("a", 0): {}}
	require.Equal(t, noon, p.read(t.Context()).All, "an empty partition has been read")
	b.at, b.down = noon.Add(time.Hour), errors.New("no broker answers")
	require.Equal(t, noon, p.read(t.Context()).All, "what has come since is not known")
}

// While messages keep coming there is always a newer end ahead; time passes with
// the ends that have been passed.
func TestProgress_FollowsAReaderThatIsAlwaysBehind(t *testing.T) {
	t.Parallel()
	b := &topics{at: noon, spans: map[inbox.Partition]kafka.Span{}, read: map[inbox.Partition]int64{}}
	p := b.progress()
	var read store.Read
	for second := range int64(120) {
		b.at = noon.Add(time.Duration(second) * time.Second)
		b.spans[at("a", 0)] = kafka.Span{End: 100 * (second + 1)}
		b.read[at("a", 0)] = 100*(second+1) - 1000 // ten seconds behind
		read = p.read(t.Context())
	}
	require.InDelta(t, 15, b.at.Sub(read.All).Seconds(), 6, "from ten to twenty seconds behind")
	b.read[at("a", 0)] = b.spans[at("a", 0)].End
	require.Equal(t, b.at, p.read(t.Context()).All)
}

// The messages of a saga have one partition number in all topics: it waits for
// that partition, and not for the slowest.
func TestProgress_IsOfEachPartition(t *testing.T) {
	t.Parallel()
	b := &topics{
		at: noon,
		spans: map[inbox.Partition]kafka.Span{
			at("a", 0): {First: 5, End: 10}, at("a", 1): {End: 10}, at("b", 0): {End: 3}, at("b", 1): {End: 3},
		},
		read: map[inbox.Partition]int64{
			{Topic: "a", Partition: 0}: 10, {Topic: "b", Partition: 0}: 3, {Topic: "a", Partition: 1}: 9, {Topic: "b", Partition: 1}: 3,
		},
	}
	read := b.progress().read(t.Context())
	require.True(t, read.All.IsZero())
	require.Equal(t, map[int32]time.Time{0: noon, 1: {}}, read.Partitions)

	// With another number of partitions in each, it is not known which belong together.
	b.spans[at("b", 2)] = kafka.Span{}
	read = b.progress().read(t.Context())
	require.Empty(t, read.Partitions)
	require.True(t, read.All.IsZero())
}

func TestProgress_WhatRetentionRemovedNeedNotBeRead(t *testing.T) {
	t.Parallel()
	b := &topics{at: noon, spans: map[inbox.Partition]kafka.Span{at("a", 0): {First: 7, End: 7}}}
	require.Equal(t, noon, b.progress().read(t.Context()).All)
}
