package kafka_test

import (
	"runtime/pprof"
	"sync"
	"testing"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/kafka"
)

// While no broker answers, anybody can ask whether one does: /readyz is open. Five hundred
// questions must not hold five hundred threads, which a Go process keeps, and dies of at ten
// thousand.
func TestCheck_ManyCallersHoldOneThread(t *testing.T) { //nolint:paralleltest // other tests make threads, too
	client, err := confluent.NewProducer(&confluent.ConfigMap{"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
	require.NoError(t, err)
	defer client.Close()
	threads := pprof.Lookup("threadcreate")
	require.Error(t, kafka.Check(t.Context(), client))
	before := threads.Count()
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() {
			if kafka.Check(t.Context(), client) == nil {
				t.Error("a broker answered")
			}
		})
	}
	wg.Wait()
	require.Less(t, threads.Count()-before, 10)
}
