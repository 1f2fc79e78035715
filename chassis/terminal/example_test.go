package terminal_test

import (
	"fmt"

	"waybill.example/chassis/terminal"
)

func ExampleClean() {
	fmt.Println(terminal.Clean("ok\n19:00:00 force by carol"))
	// Output: ok\n19:00:00 force by carol
}
