package protobuf_test

import (
	"fmt"

	"waybill.example/chassis/schemaregistry/protobuf"
)

func Example() {
	schema, err := protobuf.Format.Compile(`syntax = "proto3"; package shop; message Item {} message Order { int64 id = 1; }`, "Order")
	if err != nil {
		panic(err)
	}
	fmt.Println(schema.Index, schema.Check([]byte{8, 17}))
	// Output:
	// [1] <nil>
}
