package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"waybill/devstack/stack"
)

// skus are what the bench orders: a few popular ones, as in a shop at noon.
var skus = []string{"bench-1", "bench-2", "bench-3", "bench-4", "bench-5", "bench-6", "bench-7", "bench-8"}

// restock puts more on the shelf than the bench can order.
func (b *bench) restock(ctx context.Context) error {
	for _, sku := range skus {
		url := "http://" + addr(b.stack.State(), stack.Inventory) + "/v1/stock/" + sku
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader(`{"onHand": 100000000}`))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return fmt.Errorf("put %s on the shelf: %w", sku, err)
		}
		response.Body.Close()
		if response.StatusCode >= http.StatusBadRequest {
			return fmt.Errorf("put %s on the shelf: inventory answers %s", sku, response.Status)
		}
	}
	return nil
}
