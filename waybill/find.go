package main

import (
	"fmt"
	"net/url"
	"strings"

	saga "waybill.example/orchestrator/cli"
)

// find is `waybill find`.
type find struct {
	services `embed:""`

	What string `arg:"" help:"An order id, an event id, an outbox row (orders/812), a record (orders.v1/2@41), a key, a saga (order/17), a dead letter (inventory/3), a job (orchestrator/7), or a trace (its id, or a traceparent)."`
}

// Run says what it is and where it stands. What is not found is an error that names what was
// searched.
func (c *find) Run(t saga.Terminal) error {
	var a struct {
		Query    string `json:"query"`
		Meanings []struct {
			Kind string `json:"kind"`
			Name string `json:"name"`
			What string `json:"what"`
			Next string `json:"next,omitempty"`
		} `json:"meanings"`
		Searched    []string `json:"searched"`
		Unreachable []string `json:"unreachable"`
	}
	if err := c.get(t.Context, "orchestrator", "/v1/find?"+url.Values{"q": {c.What}}.Encode(), &a); err != nil {
		return err
	}
	if c.JSON {
		if err := printJSON(t.Out, a); err != nil {
			return err
		}
	}
	for _, m := range a.Meanings {
		if c.JSON {
			break
		}
		printf(t.Out, "%s %s\n  %s\n", m.Kind, m.Name, m.What)
		if m.Next != "" {
			printf(t.Out, "  %s\n", m.Next)
		}
	}
	missing := ""
	if len(a.Unreachable) > 0 {
		missing = "could not look for it as: " + strings.Join(a.Unreachable, "; ")
	}
	if len(a.Meanings) == 0 {
		if missing != "" {
			missing = "; " + missing
		}
		searched := ""
		if len(a.Searched) > 0 {
			searched = "; searched as: " + strings.Join(a.Searched, ", ")
		}
		return fmt.Errorf("nothing is known of %s%s%s", c.What, searched, missing)
	}
	if missing != "" && !c.JSON {
		printf(t.Out, "%s\n", missing)
	}
	return nil
}
