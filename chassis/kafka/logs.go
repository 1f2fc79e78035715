package kafka

import (
	"log/slog"
	"sync"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Logs passes librdkafka's log lines on, in a goroutine of its own, until the client is closed.
type Logs struct{ wg sync.WaitGroup }

// ReadLogs starts to read a client's log lines. librdkafka's own levels are those of syslog(3).
// seen are called for each line that was passed on, one after the other.
func ReadLogs(lines <-chan kafka.LogEvent, log *slog.Logger, seen ...func(kafka.LogEvent)) *Logs {
	l := &Logs{}
	l.wg.Go(func() {
		for line := range lines {
			pass(log, line)
			for _, f := range seen {
				f(line)
			}
		}
	})
	return l
}

// Wait returns when the client is closed and its last line is passed on.
func (l *Logs) Wait() { l.wg.Wait() }

// pass logs a line at its level, which is one of syslog's. Brokers that come and go are
// librdkafka's errors (3) and our debug lines: what follows from them is reported once, by what
// waits for the broker.
func pass(log *slog.Logger, line kafka.LogEvent) {
	record := log.Debug
	if line.Level <= 2 {
		record = log.Error
	}
	record("librdkafka", "tag", line.Tag, "text", line.Message)
}
