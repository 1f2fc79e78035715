package stack

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// initialStock is what a new stack has to sell: enough of one thing for any
// experiment, little of another to see an order rejected.
var initialStock = map[string]int{"burger": 100_000, "cola": 100_000, "pizza": 3}

// seedStock seeds the initial stock, unless it was there before. token is one of Inventory's.
func seedStock(ctx context.Context, inventoryAddr, token string) error {
	for sku, onHand := range initialStock {
		url := "http://" + inventoryAddr + "/v1/stock/" + sku
		status, err := call(ctx, http.MethodGet, url, token, "")
		if err == nil && status == http.StatusNotFound {
			status, err = call(ctx, http.MethodPut, url, token, fmt.Sprintf(`{"onHand": %d}`, onHand))
		}
		if err == nil && status >= http.StatusBadRequest {
			err = fmt.Errorf("inventory answers %d", status)
		}
		if err != nil {
			return fmt.Errorf("seed the stock of %s: %w", sku, err)
		}
	}
	return nil
}

func call(ctx context.Context, method, url, token, body string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return response.StatusCode, nil
}
