package publish

import (
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	chassis "waybill.example/chassis/kafka"
)

// client is librdkafka's producer, and what goes on beside it while it is open.
type client struct {
	*kafka.Producer
	logs    *chassis.Logs
	unlogin func()

	mu     sync.Mutex // held while the client is asked for metadata
	closed bool
}

func (s Settings) open(config chassis.Config, clientID string, log *slog.Logger) (*client, error) {
	settings := maps.Clone(tuned)
	maps.Copy(settings, alive)
	settings["linger.ms"] = linger[s.Profile]
	if s.BatchBytes > 0 {
		settings["batch.size"] = s.BatchBytes
	}
	maps.Copy(settings, gapless)
	producer, err := kafka.NewProducer(config.ProducerConfig(clientID, settings))
	if err != nil {
		return nil, fmt.Errorf("open a Kafka producer: %w", err)
	}
	c := &client{Producer: producer, unlogin: config.FollowLogin(producer)}
	c.logs = chassis.ReadLogs(producer.Logs(), log, c.askAgain)
	return c, nil
}

// idPause is how soon a broker is asked again for a producer id.
const idPause = 20 * time.Millisecond

// askAgain reads a log line of librdkafka. A broker that has just started gives no producer ids yet
// (COORDINATOR_LOAD_IN_PROGRESS), without which nothing is sent. librdkafka logs that, and asks
// again after half a second, or when metadata comes. So some is asked for.
func (c *client) askAgain(line kafka.LogEvent) {
	const warning = 4 // of syslog(3); other lines of this tag are only about debugging
	if line.Tag != "GETPID" || line.Level > warning {
		return
	}
	time.Sleep(idPause) //nolint:forbidigo // nothing tells when the broker gives ids
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		_, _ = c.GetMetadata(nil, false, int(lookUpTimeout.Milliseconds())) // it is logged if this fails, too
	}
}

// close ends the client. Rows that were not acknowledged may have reached the broker or not.
func (c *client) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.unlogin()
	purge(c.Producer)
	c.Close()
	c.logs.Wait()
}

func purge(producer *kafka.Producer) {
	_ = producer.Purge(kafka.PurgeQueue | kafka.PurgeInFlight | kafka.PurgeNonBlocking) // it knows no other errors than a wrong flag
}
