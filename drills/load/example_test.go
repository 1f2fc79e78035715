package load_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"waybill.example/drills/load"
)

func Example() {
	orders := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"id":1}`)
	}))
	defer orders.Close()

	generator, err := load.New(load.Config{
		URLs: []string{orders.URL}, Rate: 100, Count: 20, Run: "example",
		Mix: load.Mix{{Weight: 9, SKU: "burger", Quantity: 1}, {Weight: 1, SKU: "nothing", Quantity: 1}},
	})
	if err != nil {
		panic(err)
	}
	totals := generator.Run(context.Background())
	fmt.Println(totals.Accepted, totals.Failed)
	// Output: 20 0
}
