package grpcapi

import (
	"errors"
	"fmt"

	"waybill.example/contracts"
	inventoryv1 "waybill.example/contracts/proto/inventory/v1"
	"waybill.example/inventory/stock"
)

// maxWatched is how many skus one stream watches.
const maxWatched = 100

// reserveCommand returns what a request asks for. Its items follow the rules of an order's.
func reserveCommand(in *inventoryv1.ReserveRequest) (stock.Command, error) {
	if in.GetOrderId() <= 0 {
		return stock.Command{}, invalid("order_id", "must be positive")
	}
	lines := make([]stock.Line, len(in.GetItems()))
	for i, item := range in.GetItems() {
		lines[i] = stock.Line{SKU: item.GetSku(), Quantity: item.GetQuantity()}
	}
	if field, ok := errors.AsType[*contracts.FieldError](stock.CheckLines(lines)); ok {
		return stock.Command{}, invalid(field.Field, field.Problem)
	}
	return stock.Command{Action: stock.Reserve, OrderID: in.GetOrderId(), Lines: lines}, nil
}

func checkWatched(skus []string) error {
	if len(skus) == 0 || len(skus) > maxWatched {
		return invalid("skus", fmt.Sprintf("must have between 1 and %d skus", maxWatched))
	}
	for i, sku := range skus {
		if err := stock.CheckSKU(sku); err != nil {
			return invalid(fmt.Sprintf("skus[%d]", i), err.Error())
		}
	}
	return nil
}
