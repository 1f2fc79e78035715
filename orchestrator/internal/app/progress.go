package app

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"waybill.example/chassis/kafka"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga/runner/store"
)

// A deadline says that no reply came. That cannot be said while replies that did
// come wait to be read: by this orchestrator, by another one, or by nobody while
// partitions change hands; nor while the broker is down, when none can come and no
// command can leave. So a deadline is acted on only when all has been read that had
// come by then, partition by partition.
//
// progress finds out by asking the broker where each partition ends. Whatever had
// come before it was asked stands below that end, and has been read when the
// position in the database, which belongs to no particular orchestrator, has passed
// it. That holds for partitions with nothing to read, too, and needs no timestamps
// of others.
type progress struct {
	ends      func(context.Context) (map[inbox.Partition]kafka.Span, error)
	positions func(context.Context) (map[inbox.Partition]int64, error)
	now       func() time.Time
	log       *slog.Logger

	partitions map[inbox.Partition]*readPartition
	began      time.Time // when it was asked first
	warned     time.Time
}

// readPartition is what is known of one partition.
type readPartition struct {
	until time.Time // everything that had come by then has been read
	asked time.Time // when end was its end; zero where that has been passed
	end   int64
}

const (
	// endsTimeout bounds how long the broker may take to answer.
	endsTimeout = 2 * time.Second
	// warnEvery is how often the log says that deadlines wait.
	warnEvery = 30 * time.Second
)

// read asks again, and returns up to when everything has been read. Where the
// broker does not answer it is what it was before.
func (p *progress) read(ctx context.Context) store.Read {
	if p.began.IsZero() {
		p.began = p.now()
	}
	if err := p.ask(ctx); err != nil && ctx.Err() == nil && p.log != nil && p.now().Sub(p.warned) > warnEvery {
		p.warned = p.now()
		p.log.WarnContext(ctx, "deadlines wait: it is not known whether all replies have been read", "error", err)
	}
	return p.known()
}

func (p *progress) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, endsTimeout)
	defer cancel()
	at := p.now() // before the broker is asked: what has come by now is below the ends
	ends, err := p.ends(ctx)
	if err != nil {
		return err
	}
	positions, err := p.positions(ctx)
	if err != nil {
		return fmt.Errorf("read positions: %w", err)
	}
	maps.DeleteFunc(p.partitions, func(name inbox.Partition, _ *readPartition) bool {
		_, there := ends[name]
		return !there
	})
	if p.partitions == nil {
		p.partitions = make(map[inbox.Partition]*readPartition, len(ends))
	}
	for name, span := range ends {
		if p.partitions[name] == nil {
			p.partitions[name] = &readPartition{}
		}
		position, stored := positions[name]
		if !stored {
			position = span.First
		}
		p.partitions[name].note(at, span, position)
	}
	return nil
}

// note takes in where a partition ended at a time, and how far it is read now. An
// end that has not been passed stays the one to pass: under load there is always a
// newer one ahead.
func (r *readPartition) note(at time.Time, span kafka.Span, position int64) {
	read := func(end int64) bool { return position >= end || end <= span.First }
	switch {
	case read(span.End):
		r.until, r.asked = at, time.Time{}
	case r.asked.IsZero():
		r.asked, r.end = at, span.End
	case read(r.end):
		r.until, r.asked, r.end = r.asked, at, span.End
	}
}

// known is up to when the messages of each partition number have been read, over
// all topics: the messages of one saga have one number in all of them, if these have
// the same number of partitions. If they have not, all wait for the slowest.
func (p *progress) known() store.Read {
	var read store.Read
	counts := map[string]int{}
	for name, r := range p.partitions {
		counts[name.Topic]++
		if read.Partitions == nil {
			read.Partitions = map[int32]time.Time{}
		}
		if until, ok := read.Partitions[name.Partition]; !ok || r.until.Before(until) {
			read.Partitions[name.Partition] = r.until
		}
	}
	if len(read.Partitions) == 0 {
		return read // nothing is known: no deadline has come
	}
	read.All = slices.MinFunc(slices.Collect(maps.Values(read.Partitions)), time.Time.Compare)
	sizes := slices.Collect(maps.Values(counts))
	if slices.Max(sizes) != slices.Min(sizes) {
		read.Partitions = nil
	}
	return read
}

// behind is how long ago the time is up to which everything has been read.
func (p *progress) behind(read store.Read) time.Duration {
	if read.All.IsZero() {
		return p.now().Sub(p.began)
	}
	return max(0, p.now().Sub(read.All))
}
