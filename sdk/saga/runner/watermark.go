package runner

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga/runner/store"
)

// watermark is up to when the replies that came have been read.
//
// A deadline says that no reply came. That cannot be said while replies that did come wait to be
// read: by this process, by another one, or by none while partitions change hands; nor while the
// broker is down, when none can come and no command can leave. So a deadline is acted on only when
// all has been read that had come by then, partition by partition.
//
// The watermark asks the broker where each partition ends. Whatever had come before it was asked is
// below that end, and has been read when the position in the database, which belongs to no
// particular process, has passed it. That holds for partitions with nothing to read, too, and needs
// no timestamps of others.
//
// One goroutine uses it.
type watermark struct {
	ends      func(context.Context) (map[inbox.Partition]inbox.Span, error)
	positions func(context.Context) (map[inbox.Partition]int64, error)
	now       func() time.Time
	log       *slog.Logger

	partitions map[inbox.Partition]*readPartition
	began      time.Time // when it was first asked
	warned     time.Time // when the log last said that deadlines wait
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

// advance asks again, and returns up to when everything has been read. Where the broker does not
// answer it is what it was before.
func (w *watermark) advance(ctx context.Context) store.Read {
	if w.began.IsZero() {
		w.began = w.now()
	}
	if err := w.ask(ctx); err != nil && ctx.Err() == nil && w.now().Sub(w.warned) > warnEvery {
		w.warned = w.now()
		w.log.WarnContext(ctx, "deadlines wait: it is not known whether all replies have been read", "error", err)
	}
	return w.known()
}

func (w *watermark) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, endsTimeout)
	defer cancel()
	at := w.now() // before the broker is asked: what has come by now is below the ends
	ends, err := w.ends(ctx)
	if err != nil {
		return err
	}
	positions, err := w.positions(ctx)
	if err != nil {
		return fmt.Errorf("read positions: %w", err)
	}
	maps.DeleteFunc(w.partitions, func(name inbox.Partition, _ *readPartition) bool {
		_, there := ends[name]
		return !there
	})
	if w.partitions == nil {
		w.partitions = make(map[inbox.Partition]*readPartition, len(ends))
	}
	for name, span := range ends {
		if w.partitions[name] == nil {
			w.partitions[name] = &readPartition{}
		}
		position, stored := positions[name]
		if !stored {
			position = span.First
		}
		w.partitions[name].note(at, span, position)
	}
	return nil
}

// note takes in where a partition ended at a time, and how far it is read now. An end that has not
// been passed stays the one to pass: under load there is always a newer one ahead.
func (r *readPartition) note(at time.Time, span inbox.Span, position int64) {
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

// known is up to when the messages of each partition number have been read, over all topics: the
// messages of one saga have one number in all of them, if these have the same number of partitions.
// If they have not, all wait for the slowest.
func (w *watermark) known() store.Read {
	var read store.Read
	counts := map[string]int{}
	for name, r := range w.partitions {
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

// lag is how long ago the time is up to which everything has been read.
func (w *watermark) lag(read store.Read) time.Duration {
	if read.All.IsZero() {
		return w.now().Sub(w.began)
	}
	return max(0, w.now().Sub(read.All))
}
