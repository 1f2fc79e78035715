package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/contracts"
	"waybill.example/devstack/loopback"
	"waybill.example/devstack/process"
	"waybill.example/devstack/stack"
	"waybill.example/drills/bench/internal/environment"
)

// instances are how many there are of each service.
var instances = []int{1, 2, 4}

// scaling measures one, two and four instances of each service, on a fresh stack whose topics have
// four partitions. On a machine with few cores they share what one had.
func (b *bench) scaling(ctx context.Context) (err error) {
	if err := b.down(ctx); err != nil {
		return err
	}
	if err := b.up(ctx, within(b.workspace, b.Dir)); err != nil {
		return err
	}
	state := b.stack.State()
	most := instances[len(instances)-1]
	if err := partition(ctx, addr(state, stack.Broker), most); err != nil {
		return err
	}
	section := b.report.Part("Scaling", "One, two and four instances of Orders, Inventory and the orchestrator, with four partitions a topic. They share the machine's cores: this shows what more instances cost, not what more machines bring.")
	running := 1
	for _, n := range instances {
		for ; running < n; running++ {
			stop, err := b.another(ctx, state, running)
			defer stop()
			if err != nil {
				return err
			}
		}
		rate, err := search(ctx, b.sys, b.Search*2/3)
		if err != nil {
			return err
		}
		section.Add(fmt.Sprintf("scaling_throughput_%d", n), rate, "sagas/s", nil)
	}
	return nil
}

// another starts one more of each service. What has been started is ended by stop, also after an
// error.
func (b *bench) another(ctx context.Context, state stack.State, n int) (stop func(), err error) {
	var started []*process.Process
	stop = func() {
		for _, p := range started {
			stopProcess(ctx, p)
		}
	}
	for _, name := range []string{stack.Orders, stack.Inventory, stack.Orchestrator} {
		port, err := loopback.FreePort()
		if err != nil {
			return stop, err
		}
		log, err := os.Create(filepath.Join(within(b.workspace, b.Dir), "logs", fmt.Sprintf("%s-%d.log", name, n)))
		if err != nil {
			return stop, fmt.Errorf("open a log: %w", err)
		}
		p, err := process.Start(process.Command{
			Name: fmt.Sprintf("%s-%d", name, n), Path: filepath.Join(b.workspace, "bin", name), Output: log,
			Env: append(stack.Environ(), "DATABASE_URL="+state.Databases[name], "HTTP_ADDR="+loopback.Addr(port), "GRPC_ADDR="+loopback.Addr(0),
				"KAFKA_BROKERS="+addr(state, stack.Broker)),
		})
		if err != nil {
			return stop, err
		}
		started = append(started, p)
		if err := environment.AwaitReady(ctx, loopback.Addr(port)); err != nil {
			return stop, err
		}
		if name == stack.Orders {
			b.sys.Addrs = append(b.sys.Addrs, loopback.Addr(port))
		}
	}
	return stop, nil
}

// partition gives the topics more partitions. They are empty: no key moves.
func partition(ctx context.Context, brokers string, partitions int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	if err != nil {
		return fmt.Errorf("add partitions: %w", err)
	}
	defer client.Close()
	request := kmsg.NewPtrCreatePartitionsRequest()
	request.TimeoutMillis = 10_000
	for _, name := range contracts.Topics() {
		topic := kmsg.NewCreatePartitionsRequestTopic()
		topic.Topic, topic.Count = name, int32(partitions)
		request.Topics = append(request.Topics, topic)
	}
	if _, err := request.RequestWith(ctx, client); err != nil {
		return fmt.Errorf("add partitions: %w", err)
	}
	return nil
}
