package lifecycle_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"waybill.example/chassis/lifecycle"
)

func ExampleGroup() {
	ctx, cancel := context.WithCancel(context.Background())
	var g lifecycle.Group
	g.Add("database", lifecycle.Closer(func() { fmt.Println("database closed") }))
	g.Add("server", func(ctx context.Context) error {
		cancel() // as Ctrl-C would
		<-ctx.Done()
		fmt.Println("server drained")
		return nil
	})
	err := g.Run(ctx, slog.New(slog.DiscardHandler), time.Second)
	fmt.Println("error:", err)
	// Output:
	// server drained
	// database closed
	// error: <nil>
}
