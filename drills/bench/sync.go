package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	inventoryv1 "waybill.example/contracts/proto/inventory/v1"
	"waybill.example/devstack/stack"
	"waybill.example/drills/load"
)

// syncVsAsync measures the other style: call Inventory and wait. Beside confirm_*, which is the
// whole saga, stand the times of Reserve; and with Inventory stopped the call fails at once, while
// an order is taken and CONFIRMED after it is back.
func (b *bench) syncVsAsync(ctx context.Context) error {
	inventory, _ := b.stack.State().Process(stack.Inventory)
	conn, err := grpc.NewClient(inventory.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connect to Inventory: %w", err)
	}
	defer conn.Close()
	client := inventoryv1.NewInventoryServiceClient(conn)
	section := b.report.Part("Call and wait", "Reserve over gRPC, from the moment when a call was due to its answer; compare confirm_*. "+
		"With Inventory stopped: how long a call takes to fail, and how long after Inventory's start an order that was placed meanwhile is CONFIRMED.")
	for _, rate := range []int{50, 500} {
		reserved, err := reserveAtRate(ctx, client, rate, b.Latency)
		if err != nil {
			return err
		}
		addQuantiles(section, "grpc_reserve", fmt.Sprint(rate), reserved, nil, nil)
	}
	failed, confirmed, err := b.withoutInventory(ctx, client)
	if err != nil {
		return err
	}
	section.Add("grpc_reserve_down", milliseconds(failed), "ms to UNAVAILABLE", nil)
	section.Add("order_confirmed_after_down", milliseconds(confirmed), "ms", nil)
	return nil
}

// reserveAtRate reserves one item of a popular sku at a time, at a steady rate.
func reserveAtRate(ctx context.Context, client inventoryv1.InventoryServiceClient, rate int, length time.Duration) (*load.Histogram, error) {
	latencies, began := load.NewHistogram(), time.Now()
	first := began.UnixMicro() // ids that Orders will not give out
	var calls sync.WaitGroup
	var once sync.Once
	var failed error
	for n := range int(length.Seconds() * float64(rate)) {
		due := began.Add(time.Duration(n) * time.Second / time.Duration(rate))
		select {
		case <-ctx.Done():
			calls.Wait()
			return nil, ctx.Err()
		case <-time.After(time.Until(due)):
		}
		calls.Go(func() {
			_, err := client.Reserve(ctx, &inventoryv1.ReserveRequest{
				OrderId: first + int64(n), Items: []*inventoryv1.Item{{Sku: skus[n%len(skus)], Quantity: 1}},
			})
			latencies.Record(time.Since(due))
			if err != nil {
				once.Do(func() { failed = err })
			}
		})
	}
	calls.Wait()
	return latencies, failed
}

// withoutInventory stops Inventory, calls it, places an order, and starts it again.
func (b *bench) withoutInventory(ctx context.Context, client inventoryv1.InventoryServiceClient) (failed, confirmed time.Duration, err error) {
	if err := b.stack.Act(ctx, stack.Stop, stack.Inventory); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	_, err = client.Reserve(ctx, &inventoryv1.ReserveRequest{
		OrderId: began.UnixMicro(), Items: []*inventoryv1.Item{{Sku: skus[0], Quantity: 1}},
	})
	failed = time.Since(began)
	if status.Code(err) != codes.Unavailable {
		return 0, 0, fmt.Errorf("reserve with Inventory stopped: %w", err)
	}
	placed, err := b.placeOne(ctx)
	if err != nil {
		return 0, 0, err
	}
	began = time.Now()
	if err := b.stack.Act(ctx, stack.Start, stack.Inventory); err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, waitTimeout, errors.New("the order is not CONFIRMED"))
	defer cancel()
	for {
		var order struct{ Status string }
		if err := b.askOrders(ctx, http.MethodGet, placed, "", &order); err != nil {
			return 0, 0, err
		}
		if order.Status == "CONFIRMED" {
			return failed, time.Since(began), nil
		}
		select {
		case <-ctx.Done():
			return 0, 0, context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// placeOne places an order and returns its path.
func (b *bench) placeOne(ctx context.Context) (string, error) {
	var placed struct{ ID int64 }
	body := fmt.Sprintf(`{"userId":"bench","sku":%q,"quantity":1}`, skus[0])
	if err := b.askOrders(ctx, http.MethodPost, "/v1/orders", body, &placed); err != nil {
		return "", err
	}
	return fmt.Sprintf("/v1/orders/%d", placed.ID), nil
}

func (b *bench) askOrders(ctx context.Context, method, path, body string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+addr(b.stack.State(), stack.Orders)+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: Orders answers %s", method, path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}
