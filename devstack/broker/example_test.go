package broker_test

import (
	"context"
	"fmt"

	"waybill.example/devstack/broker"
)

func Example() {
	b, err := broker.Open(context.Background(), broker.Config{Dir: "/tmp/mine", Topics: []string{"orders.v1"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	fmt.Println(b.Addr()) // for KAFKA_BROKERS
}
