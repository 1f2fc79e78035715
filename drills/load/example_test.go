package load_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"waybill.example/drills/load"
)

func Example() {
	orders := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"id":1}`)
	}))
	defer orders.Close()

	generator, err := load.New(load.Config{
		URLs: []string{orders.URL}, Rate: 100, Run: "example",
		Mix: load.Mix{{Weight: 9, SKU: "burger", Quantity: 1}, {Weight: 1, SKU: "nothing", Quantity: 1}},
	})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	totals := generator.Run(ctx)
	fmt.Println(totals.Accepted > 0, totals.Failed)
	// Output: true 0
}
