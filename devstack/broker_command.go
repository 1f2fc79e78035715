package main

import (
	"context"
	"log/slog"
	"os"

	"waybill.example/contracts"
	"waybill.example/devstack/broker"
)

type brokerCommand struct {
	Port       int      `default:"19092" help:"Port on 127.0.0.1."`
	Advertise  string   `placeholder:"HOST:PORT" help:"Where clients are told to connect, if there is a proxy in front."`
	Dir        string   `required:"" type:"path" help:"Where topics, messages and offsets are kept."`
	Partitions int32    `default:"3" help:"How many a new topic has."`
	Topic      []string `help:"A topic to create beside Waybill's own. Repeatable."`
}

func (c *brokerCommand) Run(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	b, err := broker.Open(ctx, broker.Config{
		Port:       c.Port,
		Advertise:  c.Advertise,
		Dir:        c.Dir,
		Partitions: c.Partitions,
		Topics:     append(contracts.Topics(), c.Topic...),
		Log:        log,
	})
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "broker is up", "addr", b.Addr(), "dir", c.Dir)
	<-ctx.Done()
	b.Close()
	log.InfoContext(ctx, "broker has stopped")
	return nil
}
