package contracts_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"waybill.example/contracts"
)

func Example() {
	record, err := contracts.Encode(contracts.CancelOrder{
		Envelope: contracts.NewEnvelope(4711, uuid.Nil, time.Now()),
		Reason:   "inventory did not answer",
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(record.Topic, record.Key, record.Type)

	_, err = contracts.Decode(contracts.TopicOrders, []byte(`{"type":"OrderCreated"}`), func(string) string { return "" })
	if fault, ok := errors.AsType[*contracts.FieldError](err); ok {
		fmt.Println(fault)
	}
	// Output:
	// orders.commands.v1 4711 CancelOrder
	// field "eventId" is missing
}
