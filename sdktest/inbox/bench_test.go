package inbox_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

// BenchmarkProcessor applies batches without effects: what is left is begin, inbox, positions and
// commit. backend-µs/op is the processor time of the session that serves it, where the kernel says
// it.
func BenchmarkProcessor(b *testing.B) {
	for _, messages := range []int{1, 2, 20} {
		for _, lag := range []time.Duration{0, 250 * time.Millisecond} {
			b.Run(fmt.Sprintf("messages=%d/lag=%s", messages, lag), func(b *testing.B) { processBatches(b, messages, lag) })
		}
	}
}

func processBatches(b *testing.B, messages int, lag time.Duration) {
	config := pgtest.New(b, migrations.Outbox).Pool.Config()
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	p := &inbox.Processor[string, struct{}]{
		Consumer: "test", DB: pool, Positions: inbox.NewPositions(pool, "test"),
		Decode: func(inbox.Delivery) (uuid.UUID, string, error) { return uuid.Must(uuid.NewV7()), "", nil },
		Apply: func(context.Context, *inbox.Tx, *struct{}, []inbox.Received[string]) ([]outbox.Message, error) {
			return nil, nil
		},
	}
	p.Positions.Defer(lag)
	var pid int
	require.NoError(b, pool.QueryRow(b.Context(), "select pg_backend_pid()").Scan(&pid))
	batch := make([]inbox.Delivery, messages)
	process := func(first int64) {
		for i := range batch {
			batch[i] = inbox.Delivery{Topic: "topic", Partition: int32(i % 3), Offset: first + int64(i), Value: []byte("value")}
		}
		require.NoError(b, p.Process(b.Context(), batch))
	}
	process(0) // prepares the statements
	before, known := processorTime(pid)
	for next := int64(messages); b.Loop(); next += int64(messages) {
		process(next)
	}
	if after, _ := processorTime(pid); known {
		b.ReportMetric(float64((after-before).Nanoseconds())/1000/float64(b.N), "backend-µs/op")
	}
}

// BenchmarkProcessor_Skipped is what a message costs that belongs to another shard: batches of 500
// of which none is kept, with their positions.
func BenchmarkProcessor_Skipped(b *testing.B) {
	const messages = 500
	pool := pgtest.New(b, migrations.Outbox).Pool
	p := &inbox.Processor[string, struct{}]{
		Consumer: "test", DB: pool, Positions: inbox.NewPositions(pool, "test"),
		Keep: func(d inbox.Delivery) bool {
			id, err := strconv.ParseInt(string(d.Key), 10, 64)
			return err != nil || id/1_000_000_000_000 == 0
		},
	}
	p.Positions.Defer(250 * time.Millisecond)
	batch := make([]inbox.Delivery, messages)
	for next := int64(0); b.Loop(); next += messages {
		for i := range batch {
			batch[i] = inbox.Delivery{Topic: "topic", Partition: int32(i % 3), Offset: next + int64(i), Key: []byte("1000000000017"), Value: []byte("value")}
		}
		require.NoError(b, p.Process(b.Context(), batch))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/messages, "ns/message")
}

// processorTime is what a process has used of the processor.
func processorTime(pid int) (time.Duration, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		return 0, false
	}
	used, _, _ := strings.Cut(string(stat), " ")
	ns, err := strconv.ParseInt(used, 10, 64)
	return time.Duration(ns), err == nil
}
