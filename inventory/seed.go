package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// seed is for a system that is new: the first order needs something to order. What has a stock
// keeps it.
type seed struct {
	URL   string           `default:"http://127.0.0.1:8081" help:"Where Inventory listens."`
	Stock map[string]int64 `arg:"" help:"What there is, as sku=number."`
}

// Run sets the stock of each sku that Inventory does not know.
func (s seed) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for sku, onHand := range s.Stock {
		body := strings.NewReader(fmt.Sprintf(`{"onHand":%d}`, onHand))
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, s.URL+"/v1/stock/"+url.PathEscape(sku), body)
		if err != nil {
			return fmt.Errorf("%q is no URL of Inventory", s.URL)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("If-None-Match", "*")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return fmt.Errorf("set the stock of %q: %w", sku, err)
		}
		response.Body.Close()
		switch response.StatusCode {
		case http.StatusCreated:
			fmt.Printf("%q: %d on hand\n", sku, onHand)
		case http.StatusPreconditionFailed:
			fmt.Printf("%q has a stock already\n", sku)
		default:
			return fmt.Errorf("set the stock of %q: Inventory answered %s", sku, response.Status)
		}
	}
	return nil
}
