// Command orders takes orders over HTTP and confirms or cancels them on command.
//
// It accepts an order together with an OrderCreated event in one transaction, shows orders, and
// applies the ConfirmOrder and CancelOrder commands that the order saga sends it. It is configured
// by the environment (see internal/app.Config) and stops in order on SIGINT or SIGTERM.
package main

import (
	"waybill.example/chassis/service"
	"waybill.example/orders/internal/app"
)

func main() {
	service.Main("orders", "Take orders over HTTP, and confirm or cancel them on command.", app.DefaultConfig(), app.New)
}
