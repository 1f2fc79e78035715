package loopback_test

import (
	"fmt"

	"waybill.example/devstack/loopback"
)

func ExampleAddr() {
	fmt.Println(loopback.Addr(19092))
	// Output: 127.0.0.1:19092
}
