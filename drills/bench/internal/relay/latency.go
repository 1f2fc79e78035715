package relay

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	latencyRate = 200
	latencyTime = 15 * time.Second
	// Longer than the relay is awake without work, so that each row has to wake it.
	wakePause = 1300 * time.Millisecond
	wakeRows  = 12
)

// measureLatency measures from a row's commit to its arrival at a consumer: at a steady low rate,
// and with rows so rare that the relay sleeps before each.
func measureLatency(ctx context.Context, b *bench) error {
	db, err := b.database(ctx)
	if err != nil {
		return err
	}
	defer b.drop(ctx, db)
	relay, err := b.relay([]*database{db})
	if err != nil {
		return err
	}
	defer stopInTime(ctx, relay)
	if err := db.led(ctx); err != nil {
		return err
	}
	steady, err := b.latencies(ctx, db, int(latencyTime.Seconds()*latencyRate), time.Second/latencyRate)
	if err != nil {
		return err
	}
	b.figure("latency_p50", milliseconds(steady, 50), "ms")
	b.figure("latency_p99", milliseconds(steady, 99), "ms")
	b.figure("latency_max", milliseconds(steady, 100), "ms")
	asleep, err := b.latencies(ctx, db, wakeRows, wakePause)
	if err != nil {
		return err
	}
	b.figure("latency_asleep_p50", milliseconds(asleep, 50), "ms")
	b.figure("latency_asleep_max", milliseconds(asleep, 100), "ms")
	return nil
}

func milliseconds(sorted []time.Duration, percentile int) float64 {
	return float64(sorted[(len(sorted)-1)*percentile/100].Microseconds()) / 1000
}

// latencies inserts rows at a pace and returns, sorted, how long each took from its commit to the
// consumer.
func (b *bench) latencies(ctx context.Context, db *database, rows int, pace time.Duration) ([]time.Duration, error) {
	consumer, err := kgo.NewClient(kgo.SeedBrokers(b.brokerAddr()), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	const warmUp = 20 // these go by before the consumer stands at the end, and are not counted
	received := make([]time.Time, rows+warmUp)
	var seen sync.WaitGroup
	seen.Add(rows)
	reading, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for reading.Err() == nil {
			consumer.PollFetches(reading).EachRecord(func(r *kgo.Record) {
				now := time.Now()
				if i := binary.BigEndian.Uint64(r.Value); i < uint64(len(received)) && received[i].IsZero() {
					received[i] = now
					if i >= warmUp {
						seen.Done()
					}
				}
			})
		}
	}()
	defer func() { stop(); <-done }()

	committed := make([]time.Time, rows+warmUp)
	next := time.Now()
	for i := range committed {
		value := binary.BigEndian.AppendUint64(nil, uint64(i))
		if _, err := db.Exec(ctx, writeSQL, topic, "latency", append(value, payload(i)...)); err != nil {
			return nil, err
		}
		committed[i] = time.Now()
		if i < warmUp {
			next = committed[i].Add(100 * time.Millisecond)
		} else {
			next = next.Add(pace)
		}
		pause(ctx, time.Until(next))
	}
	seen.Wait()
	all := make([]time.Duration, rows)
	for i := range all {
		all[i] = max(0, received[i+warmUp].Sub(committed[i+warmUp]))
	}
	slices.Sort(all)
	return all, nil
}
