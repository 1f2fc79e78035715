package contracts_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"waybill/contracts"
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

	_, err = contracts.Decode([]byte(`{"type":"OrderCreated"}`), func(string) string { return "" })
	var fault *contracts.FieldError
	if errors.As(err, &fault) {
		fmt.Println(fault)
	}
	// Output:
	// orders.commands.v1 4711 CancelOrder
	// field "eventId" is missing
}
