package main

import (
	"context"
	"errors"
	"slices"
	"sync"

	"waybill.example/chassis/apiclient"
)

// services are where the four services are, for a verb that may ask any of them. Embed it:
//
//	services `embed:""`
type services struct {
	Orders       apiclient.Flags `embed:"" prefix:"orders-" envprefix:"ORDERS_" set:"service=the order service" set:"url=http://127.0.0.1:8080" group:"Services"`
	Inventory    apiclient.Flags `embed:"" prefix:"inventory-" envprefix:"INVENTORY_" set:"service=the inventory service" set:"url=http://127.0.0.1:8081" group:"Services"`
	Orchestrator apiclient.Flags `embed:"" prefix:"orchestrator-" envprefix:"ORCHESTRATOR_" set:"service=the orchestrator" set:"url=http://127.0.0.1:8082" group:"Services"`
	Relay        apiclient.Flags `embed:"" prefix:"relay-" envprefix:"RELAY_" set:"service=the relay" set:"url=http://127.0.0.1:8083" group:"Services"`

	JSON bool `help:"Print JSON." name:"json"`
}

// client returns the client of a service by its name.
func (s *services) client(name string) apiclient.Client {
	switch name {
	case "orders":
		return s.Orders.Client("order service", "ORDERS")
	case "inventory":
		return s.Inventory.Client("inventory service", "INVENTORY")
	case "relay":
		return s.Relay.Client("relay", "RELAY")
	default:
		return s.Orchestrator.Client("orchestrator", "ORCHESTRATOR")
	}
}

// get asks a service and decodes its answer.
func (s *services) get(ctx context.Context, name, path string, into any) error {
	return s.client(name).Get(ctx, path, into)
}

// each asks services at once, and returns what they have, in their order; the error names those
// that did not say, which must not hide what the others have.
func each[T any](names []string, ask func(name string) ([]T, error)) ([]T, error) {
	found, errs := make([][]T, len(names)), make([]error, len(names))
	var asking sync.WaitGroup
	for i, name := range names {
		asking.Go(func() { found[i], errs[i] = ask(name) })
	}
	asking.Wait()
	said := map[string]bool{}
	for i, err := range errs {
		if err != nil && said[err.Error()] { // that a request is invalid, for instance
			errs[i] = nil
		} else if err != nil {
			said[err.Error()] = true
		}
	}
	return append([]T{}, slices.Concat(found...)...), errors.Join(errs...)
}
