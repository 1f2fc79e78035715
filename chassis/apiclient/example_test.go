package apiclient_test

import (
	"context"
	"fmt"

	"waybill.example/chassis/apiclient"
)

// Show is a verb of a command, for kong.
type Show struct {
	apiclient.Flags `embed:"" envprefix:"ORDERS_" set:"service=Orders" set:"url=http://127.0.0.1:8080"`

	ID int64 `arg:""`
}

func (s Show) Run(ctx context.Context) error {
	var order struct{ Status string }
	if err := s.Client("order service", "ORDERS").Get(ctx, fmt.Sprintf("/v1/orders/%d", s.ID), &order); err != nil {
		return err
	}
	fmt.Println(order.Status)
	return nil
}

func ExampleFlags() {
	_ = Show{ID: 17}
}
