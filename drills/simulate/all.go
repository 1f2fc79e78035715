package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"

	"waybill.example/chassis/terminal"
	"waybill.example/drills/ordersim"
	"waybill.example/sdk/saga/sagasim"
)

// summary is what all seeds came to.
type summary struct {
	runs, orders, confirmed, cancelled, leftOut int
	faults                                      sagasim.Faults
	coverage                                    *sagasim.Coverage
	took                                        time.Duration
}

// all runs the seeds on all cores. It stops early at a broken promise, and then returns the lowest
// seed that was seen to break one.
func all(ctx context.Context, o options, progress io.Writer) (total summary, failed uint64, broken bool) {
	var (
		mu   sync.Mutex
		next atomic.Uint64
		wg   sync.WaitGroup
	)
	bar := progressbar.NewOptions64(int64(o.Seeds), progressbar.OptionSetWriter(progress), progressbar.OptionSetVisibility(terminal.Screen(progress)),
		progressbar.OptionSetDescription("seeds"), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	began := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := next.Add(1) - 1
				if n >= o.Seeds {
					return
				}
				r := ordersim.Run(o.config(o.From + n))
				mu.Lock()
				total.add(r)
				if len(r.Violations) > 0 && (!broken || r.Seed < failed) {
					broken, failed = true, r.Seed
				}
				stop := broken
				mu.Unlock()
				_ = bar.Add(1) // a bar that cannot be drawn is no reason to fail
				if stop {
					return
				}
			}
		})
	}
	wg.Wait()
	_ = bar.Finish()
	total.took = time.Since(began)
	return total, failed, broken
}

func (s *summary) add(r ordersim.Result) {
	s.runs++
	s.orders += r.Orders
	s.confirmed += r.Confirmed
	s.cancelled += r.Cancelled
	s.leftOut += r.LeftOut
	s.faults.Add(r.Faults)
	if s.coverage == nil {
		s.coverage = r.Coverage
	} else {
		s.coverage.Add(r.Coverage)
	}
}

func (s *summary) print(out io.Writer, moves bool) {
	fmt.Fprintf(out, "%d seeds, %d orders: %d confirmed, %d cancelled, every promise held (%.0f seeds/s).\n",
		s.runs, s.orders, s.confirmed, s.cancelled, float64(s.runs)/max(s.took.Seconds(), 1e-3))
	fmt.Fprintf(out, "%d orders were not compared with their sagas: a restore had forgotten what no topic has, or had given their id to another.\n\nInjected, and survived:\n", s.leftOut)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for name, n := range s.faults.All() {
		fmt.Fprintf(table, "%d\t  %s\n", n, name)
	}
	_ = table.Flush() // a terminal that is gone
	s.printMoves(out, moves)
}

// printMoves says which moves of the definitions no run has made, or all that were made.
func (s *summary) printMoves(out io.Writer, all bool) {
	c := s.coverage
	if c == nil {
		return
	}
	if missed := c.Missed(); len(missed) > 0 {
		fmt.Fprintln(out, "\nMoves that no run has made:")
		for _, m := range missed {
			fmt.Fprintln(out, " ", m)
		}
	} else {
		fmt.Fprintln(out, "\nEvery move that the definitions allow was made.")
	}
	if all {
		fmt.Fprintln(out, "\nMoves, and how often:")
		for _, m := range c.Taken() {
			fmt.Fprintln(out, " ", m)
		}
	}
}
