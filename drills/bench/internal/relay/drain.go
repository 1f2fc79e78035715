package relay

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// rounds is how often each rate is measured. What is compared takes turns, and the best of each
// counts: whatever else the machine does only ever makes a rate lower.
const rounds = 3

// measureDrain compares a backlog's way through the relay with the producer's own limit and with
// the naive loop.
func measureDrain(ctx context.Context, b *bench) error {
	db, err := b.database(ctx)
	if err != nil {
		return err
	}
	defer b.drop(ctx, db)
	if err := db.fill(ctx, b.Rows); err != nil {
		return err
	}
	if err := prepareNaive(ctx, db); err != nil {
		return err
	}
	var limit, drain, naive float64
	for range rounds {
		for _, measure := range []struct {
			best *float64
			rate func() (float64, error)
		}{
			{&limit, func() (float64, error) { return b.produceLimit(ctx) }},
			{&drain, func() (float64, error) { return b.drain(ctx, db, 0, b.Rows) }},
			{&naive, func() (float64, error) { return b.naive(ctx, db) }},
		} {
			rate, err := measure.rate()
			if err != nil {
				return err
			}
			*measure.best = max(*measure.best, rate)
		}
	}
	b.figure("produce_limit", limit, "messages/s")
	b.figure("drain_rate", drain, "rows/s")
	b.figure("drain_ratio", drain/limit, "of produce_limit")
	b.figure("naive_rate", naive, "rows/s")
	b.figure("drain_over_naive", drain/naive, "times")
	return nil
}

// produceLimit has a process of its own produce as many messages as the backlog has rows.
func (b *bench) produceLimit(ctx context.Context) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, self, "produce", b.brokerAddr(), strconv.Itoa(b.Rows))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("produce: %w", err)
	}
	return strconv.ParseFloat(string(bytes.TrimSpace(out)), 64)
}

const rewindSQL = `update outbox_cursor set published = case when $1 > 0 then int8multirange(int8range(1, $1 + 1)) else '{}' end`

// drain has a relay publish the rows above an id up to another, whether they are published already
// or not, and returns how many a second it published.
func (b *bench) drain(ctx context.Context, db *database, after, upTo int) (float64, error) {
	if _, err := db.Exec(ctx, rewindSQL, int64(after)); err != nil {
		return 0, err
	}
	relay, err := b.relay([]*database{db})
	if err != nil {
		return 0, err
	}
	defer stopInTime(ctx, relay)
	took, err := db.drained(ctx, upTo)
	if err != nil {
		return 0, err
	}
	return float64(upTo-after) / took.Seconds(), nil
}

type stopper interface {
	Stop(context.Context) error
}

// stopInTime is detached from the end of ctx, which may be what stops it.
func stopInTime(ctx context.Context, p stopper) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = p.Stop(ctx)
}
