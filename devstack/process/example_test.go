package process_test

import (
	"context"
	"fmt"
	"time"

	"waybill.example/devstack/process"
)

func Example() {
	p, err := process.Start(process.Command{Name: "greeter", Path: "/bin/sh", Args: []string{"-c", "echo hello; exec sleep 600"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = p.AwaitReady(ctx, func(context.Context) error {
		if len(p.Tail()) == 0 {
			return fmt.Errorf("it has not said anything")
		}
		return nil
	})
	_ = p.Stop(ctx)
	fmt.Println(p.Tail())
	// Output: [hello]
}
