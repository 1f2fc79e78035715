package relay

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const (
	downTime = 10 * time.Second
)

// measureMemory takes the broker away in the middle of a backlog of a million rows, and looks at
// the relay's memory while they wait.
func measureMemory(ctx context.Context, b *bench) error {
	db, err := b.database(ctx)
	if err != nil {
		return err
	}
	defer b.drop(ctx, db)
	if err := db.fill(ctx, b.MemRows); err != nil {
		return err
	}
	relay, err := b.relay([]*database{db})
	if err != nil {
		return err
	}
	defer stopInTime(ctx, relay)
	if _, err := db.drained(ctx, b.MemRows/10); err != nil {
		return err
	}
	b.broker.Kill()
	pause(ctx, downTime)
	waiting, err := resident(ctx, relay.Pid())
	if err != nil {
		return err
	}
	if err := b.startBroker(ctx); err != nil {
		return err
	}
	if _, err := db.drained(ctx, b.MemRows); err != nil {
		return err
	}
	drained, err := resident(ctx, relay.Pid())
	if err != nil {
		return err
	}
	b.figure("memory_broker_down", waiting, "MiB")
	b.figure("memory_after_drain", drained, "MiB")
	return nil
}

// resident returns the memory of a process in MiB.
func resident(ctx context.Context, pid int) (float64, error) {
	out, err := exec.CommandContext(ctx, "ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0, fmt.Errorf("ps: %w", err)
	}
	kib, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	return kib / 1024, err
}
