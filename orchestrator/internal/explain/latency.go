package explain

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"
)

// Latency is where the time of many orders went.
type Latency struct {
	Since   time.Time `json:"since" doc:"Orders whose saga began since then"`
	Sampled int       `json:"sampled" doc:"How many sagas were looked at: evenly spread over those that ended"`
	Of      int       `json:"of" doc:"How many there were, counted to 100,000"`
	// Whole is the time from the first to the last thing that is known of an order.
	Whole Percentiles    `json:"whole"`
	Hops  []HopLatency   `json:"hops" nullable:"false" doc:"In the order in which an order goes through them"`
	Parts []PartsLatency `json:"parts" nullable:"false" doc:"The same by what the time was spent on, the largest first"`
	Notes []string       `json:"notes,omitempty" doc:"What could not be known"`
}

// HopLatency is one part of one hop, over many orders.
type HopLatency struct {
	Hop  string `json:"hop"`
	Part string `json:"part"`
	Percentiles
}

// PartsLatency is what the orders spent on one kind of thing, in all their hops.
type PartsLatency struct {
	Part  string  `json:"part"`
	Share float64 `json:"share" doc:"Of the time of all orders together, from 0 to 1"`
	Percentiles
}

// Percentiles of milliseconds. Those of a few orders are as good as a few can be: count says how
// many there were.
type Percentiles struct {
	Count int     `json:"count"`
	P50MS float64 `json:"p50Ms"`
	P95MS float64 `json:"p95Ms"`
	P99MS float64 `json:"p99Ms"`
	MaxMS float64 `json:"maxMs"`
}

func percentiles(values []float64) Percentiles {
	if len(values) == 0 {
		return Percentiles{}
	}
	slices.Sort(values)
	at := func(share float64) float64 { return values[max(0, int(math.Ceil(share*float64(len(values))))-1)] }
	return Percentiles{len(values), at(0.50), at(0.95), at(0.99), values[len(values)-1]}
}

type hopPart struct{ hop, part string }

// Summarize makes percentiles of bills. It is pure.
func Summarize(bills []*Bill) Latency {
	l := Latency{Hops: []HopLatency{}, Parts: []PartsLatency{}}
	hops, parts := map[hopPart][]float64{}, map[string][]float64{}
	place := map[hopPart]int{}
	var order []hopPart
	var whole []float64
	sum := 0.0
	for _, b := range bills {
		whole, sum = append(whole, b.TotalMS), sum+b.TotalMS
		for i, leg := range b.Legs {
			k := hopPart{leg.Hop, leg.Part}
			if _, known := hops[k]; !known {
				order, place[k] = append(order, k), i
			}
			hops[k] = append(hops[k], leg.MS)
		}
		for part, ms := range b.Parts {
			parts[part] = append(parts[part], ms)
		}
		for _, note := range b.Notes {
			if !slices.Contains(l.Notes, note) && len(l.Notes) < 10 {
				l.Notes = append(l.Notes, note)
			}
		}
	}
	slices.SortStableFunc(order, func(a, b hopPart) int { return cmp.Compare(place[a], place[b]) })
	l.Sampled, l.Whole = len(bills), percentiles(whole)
	for _, k := range order {
		l.Hops = append(l.Hops, HopLatency{k.hop, k.part, percentiles(hops[k])})
	}
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		total := 0.0
		for _, ms := range parts[part] {
			total += ms
		}
		l.Parts = append(l.Parts, PartsLatency{part, total / max(sum, math.SmallestNonzeroFloat64), percentiles(parts[part])})
	}
	slices.SortStableFunc(l.Parts, func(a, b PartsLatency) int { return cmp.Compare(b.Share, a.Share) })
	return l
}
