package relay

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	insertWriters = 16
	insertTime    = 6 * time.Second
)

// measureInsert compares writers alone with writers beside a relay that publishes what they write.
func measureInsert(ctx context.Context, b *bench) error {
	var alone, beside float64
	for range rounds {
		rate, err := b.insertRun(ctx, false)
		if err != nil {
			return err
		}
		alone = max(alone, rate)
		if rate, err = b.insertRun(ctx, true); err != nil {
			return err
		}
		beside = max(beside, rate)
	}
	b.figure("insert_limit", alone, "rows/s")
	b.figure("insert_with_relay", beside, "rows/s")
	b.figure("insert_with_relay_ratio", beside/alone, "of insert_limit")
	return nil
}

func (b *bench) insertRun(ctx context.Context, relayed bool) (float64, error) {
	db, err := b.database(ctx)
	if err != nil {
		return 0, err
	}
	defer b.drop(ctx, db)
	if relayed {
		relay, err := b.relay([]*database{db})
		if err != nil {
			return 0, err
		}
		defer stopInTime(ctx, relay)
		if err := db.led(ctx); err != nil {
			return 0, err
		}
	}
	rate, _, err := write(ctx, db, insertWriters, insertTime, 0)
	return rate, err
}

// measureWakeup compares writers without the wake-up trigger, with it, and with a trigger that
// always notifies. The last is the same trigger beside a relay that never wakes up.
func measureWakeup(ctx context.Context, b *bench) error {
	cases := []struct {
		name, prepare string
		asleep        bool
	}{
		{"insert_without_trigger", `alter table outbox disable trigger outbox_wake`, false},
		{"insert_with_trigger", `alter table outbox enable trigger outbox_wake`, false},
		{"insert_always_notify", `alter table outbox enable trigger outbox_wake`, true},
	}
	db, err := b.database(ctx)
	if err != nil {
		return err
	}
	defer b.drop(ctx, db)
	rates := make([]float64, len(cases))
	for range rounds {
		for i, c := range cases {
			if _, err := db.Exec(ctx, c.prepare); err != nil {
				return err
			}
			stop := func() {}
			if c.asleep {
				var err error
				if stop, err = listen(ctx, db); err != nil {
					return err
				}
			}
			rate, _, err := write(ctx, db, insertWriters, insertTime, 0)
			stop()
			if err != nil {
				return err
			}
			rates[i] = max(rates[i], rate)
		}
	}
	for i, c := range cases {
		b.figure(c.name, rates[i], "rows/s")
	}
	b.figure("trigger_cost", 100*(1-rates[1]/rates[0]), "%")
	b.figure("always_notify_cost", 100*(1-rates[2]/rates[0]), "%")
	return nil
}

// listen is a relay that sleeps, and hears every notification.
func listen(ctx context.Context, db *database) (stop func(), err error) {
	conn, err := pgx.Connect(ctx, db.url)
	if err != nil {
		return nil, err
	}
	for _, sql := range []string{`listen outbox`, `select pg_advisory_lock(122550254464889)`} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	listening, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for listening.Err() == nil {
			_, _ = conn.WaitForNotification(listening)
		}
	}()
	return func() {
		cancel()
		<-done
		_ = conn.Close(context.WithoutCancel(ctx))
	}, nil
}
