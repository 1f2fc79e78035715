package overview

import (
	"context"
	"sync"
	"time"

	"waybill.example/orchestrator/console/internal/source"
)

// letters are the dead letters of a service.
type letters struct {
	Service string `json:"service"`
	Dead    int64  `json:"dead"`
	Waiting int64  `json:"waiting"` // behind them
	Causes  int    `json:"causes"`
	Unknown bool   `json:"unknown,omitzero"`
}

// lettersAge is how old their counts may be.
const lettersAge = 5 * time.Second

func (o *overview) letters(ctx context.Context) []letters {
	asked := []*source.Client{o.sources.Orchestrator, o.sources.Orders, o.sources.Inventory}
	all := make([]letters, 0, len(asked))
	found := make([]letters, len(asked))
	var asking sync.WaitGroup
	for i, c := range asked {
		if c == nil {
			continue
		}
		asking.Go(func() {
			answer, err := source.GetWithin[struct {
				Groups []struct{ Count, Waiting int64 }
			}](ctx, c, "/v1/dead-letters/groups", lettersAge)
			found[i] = letters{Service: c.Name(), Causes: len(answer.Groups), Unknown: err != nil}
			for _, g := range answer.Groups {
				found[i].Dead += g.Count
				found[i].Waiting += g.Waiting
			}
		})
	}
	asking.Wait()
	for _, l := range found {
		if l.Service != "" {
			all = append(all, l)
		}
	}
	return all
}
