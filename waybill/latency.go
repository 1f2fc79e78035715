package main

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	saga "waybill.example/orchestrator/cli"
)

// latency is `waybill latency`.
type latency struct {
	services `embed:""`

	Since  time.Duration `help:"Orders that began since so long ago." default:"10m"`
	Sample int           `help:"How many of them to look at, up to 200." default:"50"`
}

// Run prints where the time of recent orders went.
func (c *latency) Run(t saga.Terminal) error {
	query := url.Values{"since": {c.Since.String()}, "sample": {strconv.Itoa(c.Sample)}}
	path := "/v1/latency?" + query.Encode()
	var l struct {
		Sampled int         `json:"sampled"`
		Of      int         `json:"of"`
		Whole   percentiles `json:"whole"`
		Hops    []struct {
			Hop  string `json:"hop"`
			Part string `json:"part"`
			percentiles
		} `json:"hops"`
		Parts []struct {
			Part  string  `json:"part"`
			Share float64 `json:"share"`
			percentiles
		} `json:"parts"`
		Notes []string `json:"notes,omitempty"`
	}
	if err := c.get(t.Context, "orchestrator", path, &l); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t.Out, l)
	}
	if l.Sampled == 0 {
		return fmt.Errorf("no saga began in the last %s and has ended", c.Since)
	}
	printf(t.Out, "%d of %d sagas that began in the last %s and have ended:\n\n", l.Sampled, l.Of, c.Since)
	rows := [][]string{append([]string{"PART", "OF THE WHOLE"}, head...), append([]string{"all", "100 %"}, l.Whole.cells()...)}
	for _, p := range l.Parts {
		rows = append(rows, append([]string{p.Part, fmt.Sprintf("%.0f %%", 100*p.Share)}, p.cells()...))
	}
	table(t.Out, rows, "")
	printf(t.Out, "\n")
	rows = [][]string{append([]string{"HOP", "PART"}, head...)}
	for _, h := range l.Hops {
		rows = append(rows, append([]string{h.Hop, h.Part}, h.cells()...))
	}
	table(t.Out, rows, "")
	for _, note := range l.Notes {
		printf(t.Out, "%s\n", note)
	}
	return nil
}

var head = []string{"COUNT", "P50", "P95", "P99", "MAX"}

// percentiles are in milliseconds.
type percentiles struct {
	Count int     `json:"count"`
	P50MS float64 `json:"p50Ms"`
	P95MS float64 `json:"p95Ms"`
	P99MS float64 `json:"p99Ms"`
	MaxMS float64 `json:"maxMs"`
}

func (p percentiles) cells() []string {
	cells := []string{strconv.Itoa(p.Count)}
	for _, ms := range []float64{p.P50MS, p.P95MS, p.P99MS, p.MaxMS} {
		d := time.Duration(ms * float64(time.Millisecond))
		switch {
		case d < 10*time.Millisecond:
			d = d.Round(10 * time.Microsecond)
		case d < time.Second:
			d = d.Round(time.Millisecond)
		default:
			d = d.Round(10 * time.Millisecond)
		}
		cells = append(cells, d.String())
	}
	return cells
}
