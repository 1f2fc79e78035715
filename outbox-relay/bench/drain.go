package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// measureDrain compares a backlog's way through the relay with the producer's own limit and with the naive loop.
func measureDrain(ctx context.Context, b *bench) error {
	limit, err := b.produceLimit(ctx)
	if err != nil {
		return err
	}
	figure("produce_limit", limit, "messages/s")
	db, err := b.database(ctx)
	if err != nil {
		return err
	}
	defer b.drop(ctx, db)
	if err := db.fill(ctx, b.rows); err != nil {
		return err
	}
	rate, err := b.drain(ctx, db, b.rows, b.rows)
	if err != nil {
		return err
	}
	figure("drain_rate", rate, "rows/s")
	figure("drain_ratio", rate/limit, "of produce_limit")
	naive, err := b.naive(ctx, db)
	if err != nil {
		return err
	}
	figure("naive_rate", naive, "rows/s")
	figure("drain_over_naive", rate/naive, "times")
	return nil
}

// produceLimit is the better of two runs: the first also warms the broker up.
func (b *bench) produceLimit(ctx context.Context) (best float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	for range 2 {
		cmd := exec.CommandContext(ctx, self, "produce", b.brokerAddr(), strconv.Itoa(b.rows))
		cmd.Env = append(os.Environ(), profileVariable+"="+b.profile)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return 0, fmt.Errorf("produce: %w", err)
		}
		rate, err := strconv.ParseFloat(strings.TrimSpace(string(bytes.TrimSpace(out))), 64)
		if err != nil {
			return 0, err
		}
		best = max(best, rate)
	}
	return best, nil
}

// drain starts a relay on a table whose last id is upTo, and returns how fast rows of it went.
func (b *bench) drain(ctx context.Context, db *database, rows, upTo int) (float64, error) {
	relay, err := b.start("relay", db.url, b.brokerAddr())
	if err != nil {
		return 0, err
	}
	defer stopInTime(ctx, relay)
	took, err := db.drained(ctx, upTo)
	if err != nil {
		return 0, err
	}
	return float64(rows) / took.Seconds(), nil
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
