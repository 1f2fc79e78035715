package publish

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	chassis "waybill.example/chassis/kafka"
	"waybill.example/devstack/kafkatest"
	"waybill.example/outbox-relay/internal/source"
)

// A broker that has just started gives no producer ids for a while. By itself librdkafka asks twice
// a second, or when metadata comes: ten times would take five seconds.
func TestClient_AsksOftenForAProducerID(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Start(t, "orders.v1")
	const refusals = 10
	fault := broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.CoordinatorLoadInProgress, TopLevel: true, Count: refusals})
	config := chassis.Config{Brokers: []string{broker.Addr()}, SecurityProtocol: "PLAINTEXT"}
	p, err := NewClients(config, slog.New(slog.DiscardHandler)).Share("orders")
	require.NoError(t, err)
	defer p.Close()
	began := time.Now()
	require.NoError(t, p.Send(&source.Row{Topic: "orders.v1", Type: "T", Payload: []byte("{}"), Headers: []byte("{}")}))
	row, _, err := Answered(<-p.Events())
	require.NotNil(t, row)
	require.NoError(t, err)
	require.Equal(t, refusals, int(fault.Hits()))
	require.Less(t, time.Since(began), 4*time.Second)
}
