package collect

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/internal/explain"
)

// services asks Orders and Inventory what they know of an order, and how they are.
func (c *Collector) services(ctx context.Context, id string) []explain.Service {
	var asked []askedService
	for _, s := range []askedService{{"orders", c.Orders, orderFacts}, {"inventory", c.Inventory, reservationFacts}} {
		if s.client != nil {
			asked = append(asked, s)
		}
	}
	all := make([]explain.Service, len(asked))
	var asking sync.WaitGroup
	for i, s := range asked {
		asking.Go(func() { all[i] = s.ask(ctx, id) })
	}
	asking.Wait()
	return all
}

// askedService is a service, and what it is asked about an order.
type askedService struct {
	name   string
	client *apiclient.Client
	facts  func(ctx context.Context, c *apiclient.Client, id string) ([]explain.Fact, error)
}

func (s askedService) ask(ctx context.Context, id string) explain.Service {
	service := explain.Service{Name: s.name, URL: s.client.URL()}
	var asking sync.WaitGroup
	var factsErr, healthErr error
	if isOrder(id) {
		asking.Go(func() { service.Facts, factsErr = s.facts(ctx, s.client, id) })
	}
	asking.Go(func() { service.Unhealthy, healthErr = Health(ctx, s.client) })
	asking.Wait()
	switch err := errors.Join(factsErr, healthErr); {
	case healthErr != nil:
		service.Error = healthErr.Error()
	case err != nil && !errors.Is(err, errNotFound):
		service.Error = err.Error()
	}
	return service
}

// isOrder says whether a saga's id can be the id of an order, as that is written: 007 is not 7.
func isOrder(id string) bool {
	n, err := strconv.ParseInt(id, 10, 64)
	return err == nil && n > 0 && strconv.FormatInt(n, 10) == id
}

// orderFacts reads GET /v1/orders/{id} of Orders.
func orderFacts(ctx context.Context, c *apiclient.Client, id string) ([]explain.Fact, error) {
	var order struct {
		UserID, SKU string
		Quantity    int32
		Items       []struct {
			SKU      string
			Quantity int32
		}
		Status, Reason       string
		CreatedAt, UpdatedAt time.Time
	}
	if err := get(ctx, c, "/v1/orders/"+id, &order); err != nil {
		return nil, err
	}
	var lines []string
	for _, item := range order.Items {
		lines = append(lines, fmt.Sprintf("%d × %s", item.Quantity, item.SKU))
	}
	if len(lines) == 0 { // an order of one line
		lines = []string{fmt.Sprintf("%d × %s", order.Quantity, order.SKU)}
	}
	facts := []explain.Fact{{
		At: order.CreatedAt, Kind: explain.Accepted, What: fmt.Sprintf("order accepted over HTTP: %s for %s", strings.Join(lines, ", "), order.UserID),
	}}
	if order.Status != "PENDING" {
		facts = append(facts, explain.Fact{At: order.UpdatedAt, Kind: explain.Became, What: because("order became "+order.Status, order.Reason)})
	}
	return facts, nil
}

// reservationFacts reads GET /v1/reservations/{orderId} of Inventory.
func reservationFacts(ctx context.Context, c *apiclient.Client, id string) ([]explain.Fact, error) {
	var reservation struct {
		State, Reason string
		UpdatedAt     time.Time
	}
	if err := get(ctx, c, "/v1/reservations/"+id, &reservation); err != nil {
		return nil, err
	}
	return []explain.Fact{{
		At: reservation.UpdatedAt, Kind: explain.Became, What: because("reservation became "+reservation.State, reservation.Reason),
	}}, nil
}

func because(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}
