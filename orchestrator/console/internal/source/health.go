package source

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"waybill.example/chassis/apiclient"
)

// Check is one thing that a service says about itself.
type Check struct {
	Name    string `json:"name"`
	Problem string `json:"problem,omitempty"`
}

// Health is how a service is.
type Health struct {
	Service string  `json:"service"`
	Ready   bool    `json:"ready"`
	Checks  []Check `json:"checks"`
	// Asked: it has not said yet.
	Asked bool `json:"asked,omitzero"`
	// Silent is why it did not answer; empty: it did.
	Silent string `json:"silent,omitempty"`
}

const readyPath = "/readyz"

// A service checks its connections when it is asked how it is, which takes it up to a second. No
// page waits for that: the next look has it.
const (
	healthFor      = 10 * time.Second
	healthPatience = 40 * time.Millisecond
)

// Health asks all services at once how they are. One that does not answer is part of the answer.
func (s *Sources) Health(ctx context.Context) []Health {
	all := s.All()
	health := make([]Health, len(all))
	var asking sync.WaitGroup
	for i, c := range all {
		asking.Go(func() { health[i] = c.health(ctx) })
	}
	asking.Wait()
	return health
}

func (c *Client) health(ctx context.Context) Health {
	h := Health{Service: c.name}
	var answer struct {
		Status string
		Checks map[string]string
	}
	key, ask := c.asking(ctx, readyPath)
	a := c.cache.soon(ctx, key, healthFor, healthPatience, ask)
	switch {
	case errors.Is(a.err, Impatience{}):
		h.Asked = true
		return h
	case a.stale != nil:
		h.Silent = a.stale.Error()
		return h
	case a.err != nil:
		h.Silent = a.err.Error()
		return h
	case json.Unmarshal(a.body, &answer) != nil:
		h.Silent = "it does not answer like a service of Waybill"
		return h
	}
	h.Ready = answer.Status == "ready"
	for _, name := range slices.Sorted(maps.Keys(answer.Checks)) {
		check := Check{Name: name}
		if what := answer.Checks[name]; what != "ok" {
			check.Problem = what
		}
		h.Checks = append(h.Checks, check)
	}
	return h
}

// notReady is the answer of a service that is there and says that it is not ready, which is no
// refusal.
func notReady(err error) ([]byte, bool) {
	refusal, ok := errors.AsType[*apiclient.Refusal](err)
	if !ok || refusal.Status != http.StatusServiceUnavailable || !json.Valid(refusal.Body) {
		return nil, false
	}
	return refusal.Body, true
}
