package kafkatest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"waybill.example/devstack/kafkatest"
)

func Example() {
	_ = func(t *testing.T) {
		broker := kafkatest.Start(t, "orders.v1")
		broker.Produce(t, kafkatest.Record{Topic: "orders.v1", Key: []byte("17"), Value: []byte("{}")})
		got := broker.Consume(t, "orders.v1", 1)
		require.Equal(t, "17", string(got[0].Key))
	}
}

func ExampleBroker_FailProduce() {
	_ = func(t *testing.T) {
		broker := kafkatest.Start(t, "orders.v1")
		fault := broker.FailProduce("orders.v1", kerr.NotEnoughReplicas)
		// ... see that what is tested waits ...
		fault.Remove()
		// ... see that it goes on
	}
}
