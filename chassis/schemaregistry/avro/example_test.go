package avro_test

import (
	"fmt"

	"waybill.example/chassis/schemaregistry/avro"
)

func Example() {
	schema, err := avro.Format.Compile(`{"type":"record","name":"Order","fields":[{"name":"id","type":"long"}]}`, "")
	if err != nil {
		panic(err)
	}
	fmt.Println(schema.Check([]byte{34})) // 17, as a zigzag varint
	fmt.Println(schema.Check([]byte{34, 0}))
	// Output:
	// <nil>
	// there is more behind the value
}
