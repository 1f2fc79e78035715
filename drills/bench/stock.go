package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// skus are what the bench orders: a few popular ones, as in a shop at noon.
var skus = []string{"bench-1", "bench-2", "bench-3", "bench-4", "bench-5", "bench-6", "bench-7", "bench-8"}

// restock stocks more than the bench can order, with the Inventory service on addr.
func restock(ctx context.Context, addr string) error {
	for _, sku := range skus {
		url := "http://" + addr + "/v1/stock/" + sku
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader(`{"onHand": 100000000}`))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return fmt.Errorf("seed stock of %s: %w", sku, err)
		}
		response.Body.Close()
		if response.StatusCode >= http.StatusBadRequest {
			return fmt.Errorf("seed stock of %s: inventory answers %s", sku, response.Status)
		}
	}
	return nil
}
