package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Metadata is asked of a broker; both *kafka.Consumer and *kafka.Producer do it.
type Metadata interface {
	GetMetadata(topic *string, allTopics bool, timeoutMs int) (*kafka.Metadata, error)
}

// Check reports whether a broker answers a metadata request within ctx's deadline, or one second.
func Check(ctx context.Context, client Metadata) error {
	if _, err := client.GetMetadata(nil, false, milliseconds(ctx)); err != nil {
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
