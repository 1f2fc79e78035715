package browsertest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

// measuring asks for what is measured rather than tested; it takes minutes.
const measuring = "WAYBILL_MEASURE"

// keepOpen has pages kept up to date, as browsers do, until the returned function is called.
func (w *world) keepOpen(t *testing.T, pages int, path string) (leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	for range pages {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url(stack.Orchestrator)+path, nil)
		require.NoError(t, err)
		request.Header.Set("Accept", "text/event-stream")
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.StatusCode)
		reading.Go(func() {
			defer answer.Body.Close()
			_, _ = io.Copy(io.Discard, answer.Body) // until it is left
		})
	}
	return func() { cancel(); reading.Wait() }
}

// processorTime is what the services and Postgres have used, in seconds.
func (w *world) processorTime(t *testing.T) (all float64) {
	t.Helper()
	parents, used := map[int]int{}, map[int]float64{}
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
		number := func(n int) float64 { v, _ := strconv.ParseFloat(fields[n], 64); return v }
		parents[pid] = int(number(1))
		used[pid] = (number(11) + number(12)) / 100 // user and system time, of 100 ticks per second
	}
	for _, p := range w.stack.State().Processes {
		for pid := range used {
			if pid == p.Pid || parents[pid] == p.Pid { // Postgres has a process for each session
				all += used[pid]
			}
		}
	}
	return all
}

// What a page costs that is open all day, and what fifty cost, in processor time of all services
// and of Postgres together, on a stack that has nothing else to do.
func TestMeasure_WhatOpenPagesCost(t *testing.T) { //nolint:paralleltest // it measures the whole stack
	if os.Getenv(measuring) == "" {
		t.Skip("set " + measuring + "=1 to measure what open pages cost (7 minutes)")
	}
	w := theWorld(t)
	w.place(t, `{"userId":"u1","sku":"burger","quantity":1}`, true)
	const span = 20 * time.Second
	more := map[int][]float64{} // than none takes, in the same turn
	for range 7 {
		var none float64
		for _, pages := range []int{0, 1, 50} {
			leave := w.keepOpen(t, pages, "/")
			before := w.processorTime(t)
			<-time.After(span)
			took := (w.processorTime(t) - before) / span.Seconds() * 100
			leave()
			t.Logf("%2d pages: %.2f %% of a processor", pages, took)
			if pages == 0 {
				none = took
			} else {
				more[pages] = append(more[pages], took-none)
			}
		}
	}
	for pages, all := range more {
		slices.Sort(all)
		t.Logf("%2d pages take %.2f %% more than none (median of %.2f)", pages, all[len(all)/2], all)
	}
}

// What fifty open pages do to the order flow: the time from POST to CONFIRMED, in turns without and
// with them.
func TestMeasure_WhatOpenPagesDoToOrders(t *testing.T) { //nolint:paralleltest // it measures the whole stack
	if os.Getenv(measuring) == "" {
		t.Skip("set " + measuring + "=1 to measure what open pages do to orders (2 minutes)")
	}
	w := theWorld(t)
	took := map[int][]time.Duration{}
	for round := range 6 {
		pages := round % 2 * 50
		leave := w.keepOpen(t, pages, "/")
		for range 150 {
			began := time.Now()
			w.place(t, `{"userId":"u1","sku":"burger","quantity":1}`, true)
			took[pages] = append(took[pages], time.Since(began))
		}
		leave()
	}
	for pages, all := range took {
		slices.Sort(all)
		t.Logf("%2d pages: %d orders, median %s, 99 %% %s", pages, len(all), all[len(all)/2], all[len(all)*99/100])
	}
}
