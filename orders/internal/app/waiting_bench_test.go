package app_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orders/internal/consumer"
	"waybill.example/orders/internal/postgres"
	"waybill.example/sdk/inbox"
)

const (
	benchWaiters = 5000
	benchBatch   = 100
)

// BenchmarkWaiting has 5,000 clients wait for as many orders at one process of the service, and
// another confirm them, a thousand per second. It reports what a client that waits costs the
// service, and how long after the commit it has its answer.
func BenchmarkWaiting(b *testing.B) {
	for b.Loop() {
		db := pgtest.New(b, migrations.Outbox, migrations.Orders)
		_, err := db.Pool.Exec(b.Context(), "insert into orders (user_id, sku, quantity) select 'u', 's', 1 from generate_series(1, $1)", benchWaiters)
		require.NoError(b, err)
		service := startProcess(b, db)
		service.metric(b, "waybill_orders_waiting_clients") // it is warm
		empty := service.memory(b)

		answered := make([]time.Time, benchWaiters+1)
		var clients sync.WaitGroup
		for id := 1; id <= benchWaiters; id++ {
			clients.Go(func() { answered[id] = service.wait(b, id) })
			if id%100 == 0 {
				<-time.After(20 * time.Millisecond)
			}
		}
		for service.metric(b, "waybill_orders_waiting_clients") < benchWaiters {
			<-time.After(50 * time.Millisecond)
		}
		b.ReportMetric(float64(service.memory(b)-empty)/benchWaiters/1024, "KiB/waiter")
		idle := service.cpu(b)
		<-time.After(5 * time.Second)
		b.ReportMetric((service.cpu(b)-idle).Seconds()/5*100, "%CPU-idle")

		before := service.cpu(b)
		committed := confirmAll(b, db)
		clients.Wait()
		b.ReportMetric((service.cpu(b)-before).Seconds()/benchWaiters*1e6, "µsCPU/answer")
		delays := make([]time.Duration, benchWaiters)
		for i := range delays {
			delays[i] = answered[i+1].Sub(committed[i+1])
		}
		slices.Sort(delays)
		b.ReportMetric(float64(delays[benchWaiters/2].Microseconds())/1000, "ms-p50")
		b.ReportMetric(float64(delays[benchWaiters*99/100].Microseconds())/1000, "ms-p99")
		b.ReportMetric(service.metric(b, "waybill_orders_watch_queries_total")/benchWaiters, "queries/waiter")
	}
}

// confirmAll confirms the orders as the consumer of another instance does, and returns when each
// was committed.
func confirmAll(b testing.TB, db *pgtest.Database) []time.Time {
	handler := consumer.New(db.Pool, postgres.NewStore(db.Pool), func(...int64) {}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	committed := make([]time.Time, benchWaiters+1)
	next := time.NewTicker(time.Second * benchBatch / 1000)
	defer next.Stop()
	for first := 1; first <= benchWaiters; first += benchBatch {
		batch := make([]inbox.Delivery, benchBatch)
		for i := range batch {
			record, err := contracts.Encode(contracts.ConfirmOrder{Envelope: contracts.NewEnvelope(int64(first+i), uuid.New(), time.Now())})
			require.NoError(b, err)
			batch[i] = inbox.Delivery{Topic: record.Topic, Offset: int64(first + i), Key: []byte(record.Key), Value: record.Payload}
		}
		<-next.C
		require.NoError(b, handler.Process(b.Context(), batch))
		now := time.Now()
		for i := range batch {
			committed[first+i] = now
		}
	}
	return committed
}

// process is the service's own program.
type process struct {
	url    string
	pid    int
	client *http.Client
}

func startProcess(b testing.TB, db *pgtest.Database) process {
	program := filepath.Join(b.TempDir(), "orders")
	out, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, "waybill.example/orders").CombinedOutput()
	require.NoError(b, err, string(out))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	addr := free.Addr().String()
	free.Close()
	command := exec.CommandContext(context.WithoutCancel(b.Context()), program)
	command.Env = append(os.Environ(), "HTTP_ADDR="+addr, "DATABASE_URL="+db.URL, "KAFKA_BROKERS=127.0.0.1:1",
		"HTTP_MAX_CONNECTIONS=12000", "HTTP_MAX_WAITING="+strconv.Itoa(benchWaiters+100), "LOG_LEVEL=error")
	require.NoError(b, command.Start())
	b.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	p := process{url: "http://" + addr, pid: command.Process.Pid, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}}
	for {
		response, err := p.client.Get(p.url + "/livez")
		if err == nil {
			response.Body.Close()
			return p
		}
		<-time.After(20 * time.Millisecond)
	}
}

// wait returns when the order was answered as CONFIRMED.
func (p process) wait(b *testing.B, id int) time.Time {
	for {
		request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, fmt.Sprintf("%s/v1/orders/%d", p.url, id), nil)
		if err != nil {
			b.Error(err)
			return time.Time{}
		}
		request.Header.Set("Prefer", "wait=30")
		response, err := p.client.Do(request)
		now := time.Now()
		if err != nil {
			b.Error(err)
			return now
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || strings.Contains(string(body), "CONFIRMED") {
			return now
		}
	}
}

func (p process) metric(b *testing.B, name string) float64 {
	response, err := p.client.Get(p.url + "/metrics")
	require.NoError(b, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(b, err)
	match := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
	require.NotNil(b, match)
	value, err := strconv.ParseFloat(string(match[1]), 64)
	require.NoError(b, err)
	return value
}

// memory is the process' resident memory, in bytes.
func (p process) memory(b *testing.B) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid))
	if err != nil {
		b.Skip("no /proc here")
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	require.NoError(b, err)
	return pages * os.Getpagesize()
}

// cpu is the time that the process has used.
func (p process) cpu(b *testing.B) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	require.NoError(b, err)
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	require.NoError(b, err)
	system, err := strconv.Atoi(fields[12])
	require.NoError(b, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}
