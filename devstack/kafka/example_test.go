package kafka_test

import (
	"context"
	"fmt"
	"os"

	"waybill.example/devstack/kafka"
	"waybill.example/devstack/process"
)

func Example() {
	command, err := kafka.Prepare(context.Background(), kafka.Config{Dir: "/tmp/mine", Port: 19092, Progress: os.Stderr})
	if err != nil {
		fmt.Println(err)
		return
	}
	node, err := process.Start(command)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Kill()
}
