package publish

import (
	"fmt"
	"log/slog"
	"os"
	"sort"
	"sync"
	"testing"
	"time"

	chassis "waybill.example/chassis/kafka"
	"waybill.example/devstack/kafkatest"
	"waybill.example/outbox-relay/internal/source"
)

type capture struct {
	mu    sync.Mutex
	lines []string
	t0    time.Time
}

func (c *capture) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, fmt.Sprintf("%8.2f %s", float64(time.Since(c.t0).Microseconds())/1000, b))
	return len(b), nil
}

func TestZZStart(t *testing.T) {
	broker := kafkatest.Start(t, "orders.v1")
	var all []float64
	for i := range 40 {
		c := &capture{t0: time.Now()}
		cfg := chassis.Config{Brokers: []string{broker.Addr()}, SecurityProtocol: "PLAINTEXT", Properties: []string{"debug=eos\\,broker\\,metadata\\,protocol"}}
		cfg.Properties = []string{"debug=" + os.Getenv("RDBG")}
		log := slog.New(slog.NewTextHandler(c, &slog.HandlerOptions{Level: slog.LevelDebug}))
		clients := NewClients(cfg, log)
		p, err := clients.Share("orders")
		if err != nil {
			t.Fatal(err)
		}
		prober, _ := clients.Prober("orders")
		time.Sleep(time.Duration(i%5) * 5 * time.Millisecond)
		prober.LookUp("orders.v1")
		<-prober.Answers()
		looked := time.Since(c.t0)
		row := &source.Row{Topic: "orders.v1", Key: []byte(fmt.Sprint(i)), Type: "X", Payload: []byte("{}"), Headers: []byte("{}"), Created: time.Now().UnixMicro()}
		if err := p.Send(row); err != nil {
			t.Fatal(err)
		}
		<-p.Events()
		d := time.Since(c.t0)
		t.Logf("%d look up %v, ack %v", i, looked, d)
		all = append(all, float64(d.Milliseconds()))
		if d > 300*time.Millisecond && os.Getenv("RDBG") != "" {
			for _, l := range c.lines {
				t.Log(l)
			}
			t.FailNow()
		}
		p.Close()
		prober.Close()
	}
	sort.Float64s(all)
	t.Log(all)
}
