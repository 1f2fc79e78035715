package kafka

import (
	"context"
	"log/slog"
	"sync"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Logs passes librdkafka's log lines on, in a goroutine of its own, until the client is closed.
type Logs struct{ wg sync.WaitGroup }

// ReadLogs starts to read a client's log lines. librdkafka's own levels are those of syslog(3).
func ReadLogs(lines <-chan kafka.LogEvent, log *slog.Logger) *Logs {
	l := &Logs{}
	l.wg.Go(func() {
		for line := range lines {
			log.Log(context.Background(), level(line.Level), "librdkafka", "tag", line.Tag, "text", line.Message)
		}
	})
	return l
}

// Wait returns when the client is closed and its last line is passed on.
func (l *Logs) Wait() { l.wg.Wait() }

// level maps syslog's levels. Brokers that come and go are librdkafka's errors (3) and our debug
// lines: what follows from them is reported once, by whoever waits for the broker.
func level(syslog int) slog.Level {
	switch {
	case syslog <= 2:
		return slog.LevelError
	case syslog <= 4:
		return slog.LevelDebug
	default:
		return slog.LevelDebug - 4
	}
}
