package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"waybill.example/orders/client"
)

func Example() {
	orders, err := client.New("http://localhost:8080")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer orders.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	order, err := orders.PlaceAndWait(ctx, client.Draft{UserID: "u1", SKU: "burger", Quantity: 2})
	if problem, ok := errors.AsType[*client.Problem](err); ok {
		fmt.Println("refused:", problem.Status, problem.Detail)
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(order.ID, order.Status, order.Reason)
}

func ExampleClient_Watch() {
	orders, err := client.New("http://localhost:8080")
	if err != nil {
		fmt.Println(err)
		return
	}
	for order, err := range orders.Watch(context.Background(), 1) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(order.UpdatedAt, order.Status)
	}
}

func ExampleClient_List() {
	orders, err := client.New("http://localhost:8080")
	if err != nil {
		fmt.Println(err)
		return
	}
	for order, err := range orders.List(context.Background(), client.Filter{UserID: "u1"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(order.ID, order.Status)
	}
}
