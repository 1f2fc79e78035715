package relay

import (
	"time"

	"waybill.example/outbox-relay/internal/publish"
)

// Options are the bounds a source works within. The zero value of a field stands for its default.
type Options struct {
	// BatchRows is the most rows read at a time. Default 4,000.
	BatchRows int
	// InFlightRows is the most rows between having been read and having been answered. Default
	// 40,000.
	InFlightRows int
	// InFlightBytes bounds the same in bytes; one batch may exceed it. Default 64 MiB.
	InFlightBytes int
	// Budget bounds the bytes of all sources that share it. Default: none.
	Budget *Budget
	// URL, if not nil, is where the database is by now: a password may have been rotated.
	URL func() string
	// Clients are the Kafka clients that the sources of a process share. A source with other Kafka
	// settings, such as another login, has its own. Default: clients of the source's own.
	Clients *publish.Clients
	// Topics are those that rows may be for; others are stuck. Default: all.
	Topics Topics
	// PollMin and PollMax bound the pause after a read that found nothing; it doubles. Default 1 ms
	// to 10 ms.
	PollMin, PollMax time.Duration
	// Quiet is how long nothing must come before the relay asks to be notified and sleeps. Default
	// 10 ms, so that a row that comes alone is notified of rather than found by the next look.
	Quiet time.Duration
	// Fallback is how often the relay looks while it sleeps, or waits for the broker. Default 500
	// ms.
	Fallback time.Duration
	// GapGrace is the least age at which a gap is given up as rolled back. Default 2 s.
	GapGrace time.Duration
	// Sweep is how often rows are looked for whose ids were given up. Default 5 s.
	Sweep time.Duration
	// Retention is how long published rows are kept; KeepForever forever. Default 7 days.
	Retention time.Duration
	// InboxRetention is how long messages are remembered as handled; KeepForever forever. Default
	// 30 days.
	InboxRetention time.Duration
	// Expire is how often old rows are looked for, six times less often where there are none, and
	// Backlog how often the backlog is measured. Default 10 s and 5 s.
	Expire, Backlog time.Duration
	// Drain is how long rows in flight are waited for at shutdown. Default 5 s.
	Drain time.Duration
	// Election is how often a standby asks for the lead. Default 200 ms.
	Election time.Duration
	// UnresponsiveAfter is how long a leader may do nothing before a standby takes its lead away.
	// Default 3 s, which is more than a leader that waits for its broker ever takes.
	UnresponsiveAfter time.Duration
}

// KeepForever is the Retention or InboxRetention that removes nothing.
const KeepForever time.Duration = -1

func (o Options) withDefaults() Options {
	orElse(&o.BatchRows, 4000)
	orElse(&o.InFlightRows, 40_000)
	orElse(&o.InFlightBytes, 64<<20)
	orElse(&o.PollMin, time.Millisecond)
	orElse(&o.PollMax, 10*time.Millisecond)
	orElse(&o.Quiet, 10*time.Millisecond)
	orElse(&o.Fallback, 500*time.Millisecond)
	orElse(&o.GapGrace, 2*time.Second)
	orElse(&o.Sweep, 5*time.Second)
	orElse(&o.Retention, 7*24*time.Hour)
	orElse(&o.InboxRetention, 30*24*time.Hour)
	orElse(&o.Expire, 10*time.Second)
	orElse(&o.Backlog, 5*time.Second)
	orElse(&o.Drain, 5*time.Second)
	orElse(&o.Election, 200*time.Millisecond)
	orElse(&o.UnresponsiveAfter, 3*time.Second)
	return o
}

func orElse[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}
