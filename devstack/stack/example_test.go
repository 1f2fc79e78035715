package stack_test

import (
	"context"
	"fmt"
	"syscall"

	"waybill.example/devstack/stack"
)

// Where is Orders, and what happens without the broker?
func Example() {
	state, err := stack.Read(stack.DefaultDir)
	if err != nil {
		fmt.Println(err)
		return
	}
	orders, _ := state.Process(stack.Orders)
	fmt.Println("http://"+orders.Addr, state.Databases["orders"])

	broker, _ := state.Process(stack.Broker)
	_ = syscall.Kill(broker.Pid, syscall.SIGKILL)
}

func ExampleClient() {
	client, err := stack.Dial(stack.DefaultDir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	ctx := context.Background()
	for _, action := range []stack.Action{stack.Freeze, stack.Thaw, stack.Kill, stack.Start} {
		if err := client.Act(ctx, action, stack.Broker); err != nil {
			fmt.Println(err)
		}
	}
}
