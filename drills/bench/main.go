package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"waybill/devstack/stack"
	"waybill/drills/bench/internal/openloop"
	"waybill/drills/bench/internal/system"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var rate float64
	var secs int
	var follow float64
	if len(os.Args) > 4 {
		fmt.Sscan(os.Args[4], &follow)
	}
	fmt.Sscan(os.Args[2], &rate)
	fmt.Sscan(os.Args[3], &secs)
	sys, err := system.Connect(ctx, func() stack.State { s, _ := stack.Read(os.Args[1]); return s })
	if err != nil {
		panic(err)
	}
	l := openloop.New(openloop.Config{Addrs: []string{sys.Addr("orders")}, Rate: rate, SKUs: []string{"burger"}, Follow: follow})
	lctx, cancel := context.WithTimeout(ctx, time.Duration(secs)*time.Second)
	defer cancel()
	before := sys.Usage()
	t0 := time.Now()
	go func() {
		for lctx.Err() == nil {
			time.Sleep(2 * time.Second)
			s, err := sys.Look(ctx)
			fmt.Println("  pending", s.Pending, "unpublished", s.Unpublished, "late", l.Late(), err)
		}
	}()
	l.Run(lctx)
	for {
		p, _ := sys.Pending(ctx)
		if p == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	took := time.Since(t0)
	after := sys.Usage()
	n := float64(l.Accepted())
	var sum float64
	for name, u := range after {
		us := float64((u.CPU - before[name].CPU).Microseconds()) / n
		if name != "load" {
			sum += us
		}
		fmt.Printf("cpu_us_%s %.0f  rss %dMB\n", name, us, u.Memory>>20)
	}
	fmt.Printf("cpu_us %.0f sagas %.0f in %.1fs\n", sum, n, took.Seconds())
	f, why := l.Failed()
	fmt.Println("failed", f, why)
	for _, q := range []float64{.5, .9, .99, .999} {
		fmt.Printf("q%g post %v confirm %v\n", q, l.Post().Quantile(q), l.Confirm().Quantile(q))
	}
}
