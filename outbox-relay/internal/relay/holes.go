package relay

import (
	"context"
	"slices"
	"time"

	"waybill/outbox-relay/internal/cursor"
	"waybill/outbox-relay/internal/source"
)

// holes are the ids that were missing when the relay looked, in generations of those first seen together.
type holes struct {
	generations []generation
	looked      time.Time
}

// A generation of holes can be given up as rolled back when no transaction is alive that could still fill one:
//
//  1. every transaction that had an id when the holes were seen has ended (the snapshot's xmin has reached xmax);
//  2. every transaction that had drawn from the sequence then, with or without an id, has ended; and as one that is
//     prepared in between escapes both rules, no prepared transaction has drawn;
//  3. a grace time has gone by, for what Postgres cannot show: an id drawn in one transaction, inserted in another;
//  4. a read that began after all this has not found the rows: one may have committed just before.
type generation struct {
	ids     *cursor.Set
	xmax    int64
	drawers []string
	seen    time.Time
	ripe    bool
}

const lookEvery = 200 * time.Millisecond

// watchHoles sorts new holes into a generation and finds out which generations are ripe (1 to 3).
func (t *term) watchHoles(ctx context.Context) error {
	now := time.Now()
	if now.Sub(t.holes.looked) < lookEvery {
		return nil
	}
	t.holes.looked = now
	open := cursor.Of(t.taken.Holes()...)
	t.meters.holes.Set(float64(len(open.Ranges())))
	t.inFlight.Set(float64(t.rows))
	if open.Empty() {
		t.holes.generations = nil
		return nil
	}
	// After the holes were seen: whoever drew one of their ids is in it, or has ended.
	horizon, err := t.session.Horizon(ctx)
	if err != nil {
		return err
	}
	t.holes.update(open, horizon, now, t.options.HoleGrace)
	return nil
}

func (h *holes) update(open *cursor.Set, horizon source.Horizon, now time.Time, grace time.Duration) {
	fresh := open
	kept := h.generations[:0]
	for _, g := range h.generations {
		fresh = fresh.Subtract(g.ids)
		g.ids = g.ids.Intersect(open)
		if g.ids.Empty() {
			continue
		}
		g.ripe = g.ripe || now.Sub(g.seen) >= grace && horizon.Xmin >= g.xmax && horizon.Prepared == 0 &&
			!slices.ContainsFunc(horizon.Drawers, func(id string) bool { return slices.Contains(g.drawers, id) })
		kept = append(kept, g)
	}
	if !fresh.Empty() {
		kept = append(kept, generation{ids: fresh.Clone(), xmax: horizon.Xmax, drawers: horizon.Drawers, seen: now})
	}
	h.generations = kept
}

// closeRipe gives up the ripe holes below upTo, all of which a read has just looked at without finding a row (4).
func (t *term) closeRipe(upTo int64) {
	var ripe []generation
	t.holes.generations = slices.DeleteFunc(t.holes.generations, func(g generation) bool {
		if g.ripe {
			ripe = append(ripe, g)
		}
		return g.ripe
	})
	if len(ripe) == 0 {
		return
	}
	looked := cursor.Of(cursor.Range{Lo: 0, Hi: upTo})
	for _, g := range ripe {
		gone := g.ids.Subtract(t.taken).Intersect(looked)
		t.taken.AddSet(gone)
		t.step.Settled.AddSet(gone)
		t.step.Closed.AddSet(gone)
		t.closed.Add(float64(gone.Size()))
		if rest := g.ids.Subtract(t.taken); !rest.Empty() {
			g.ids = rest
			t.holes.generations = append(t.holes.generations, g)
		}
	}
}
