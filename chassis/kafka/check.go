package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"golang.org/x/sync/singleflight"
)

// Metadata is asked of a broker; both *kafka.Consumer and *kafka.Producer do it.
type Metadata interface {
	GetMetadata(topic *string, allTopics bool, timeoutMs int) (*kafka.Metadata, error)
}

// checks has the request that is under way for each client. A request to a broker that does not
// answer holds a thread of the operating system for as long as it may take, and the runtime keeps
// the thread afterwards: so many callers share one.
var checks singleflight.Group

// Check reports whether a broker answers a metadata request within ctx's deadline, or one second.
// Callers that come while another asks the same client get its answer. All of them wait for it,
// also where their ctx has ended: the client must not be closed under a request.
func Check(ctx context.Context, client Metadata) error {
	_, err, _ := checks.Do(fmt.Sprintf("%p", client), func() (any, error) {
		return client.GetMetadata(nil, false, milliseconds(ctx))
	})
	if err != nil {
		return fmt.Errorf("no broker answers: %w", err)
	}
	return nil
}

// milliseconds is what is left of ctx's deadline, or a second.
func milliseconds(ctx context.Context) int {
	timeout := time.Second
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), time.Millisecond)
	}
	return int(timeout.Milliseconds())
}
