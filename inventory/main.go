// Command inventory keeps stock and reserves it for orders.
//
// It applies the ReserveInventory and ReleaseInventory commands that the order saga sends it, each
// in one transaction with its answer, and shows and sets stock over HTTP. It is configured by the
// environment (see internal/app.Config) and stops in order on SIGINT or SIGTERM.
//
//	inventory                      run the service
//	inventory stock show burger    look at the stock; see --help for the other verbs
package main

import (
	"github.com/alecthomas/kong"

	"waybill.example/chassis/service"
	"waybill.example/inventory/cli"
	"waybill.example/inventory/internal/app"
)

type verbs struct {
	Stock cli.Stock `cmd:"" help:"Look at the stock of a running Inventory, and change it."`

	Seed seed `cmd:"" help:"Give skus that have none their first stock, by the API of a running Inventory."`
}

func main() {
	service.Main("inventory", "Keep stock, and reserve it for orders.", app.DefaultConfig(), app.New, kong.Embed(&verbs{}))
}
