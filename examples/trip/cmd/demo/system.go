package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"trip.example"
	"trip.example/bank"
	"trip.example/car"
	"trip.example/desk"
	"trip.example/flight"
	"trip.example/hotel"

	"waybill.example/devstack/broker"
	"waybill.example/devstack/postgres"
	"waybill.example/devstack/process"
	"waybill.example/devstack/tempdir"
	"waybill.example/migrations"
)

// service is a database, what is installed in it, and the program that works on it.
type service struct {
	name    string
	sets    []migrations.Set
	schema  string // of its own
	program string // empty: the demo itself is it
}

func services() []service {
	participant := []migrations.Set{migrations.Outbox, migrations.Participant}
	return []service{
		{"desk", []migrations.Set{migrations.Outbox}, desk.Schema, ""},
		{"orchestrator", []migrations.Set{migrations.Outbox, migrations.Orchestrator}, "", "orchestrator"},
		{"hotel", participant, hotel.Schema, "participant"},
		{"flight", participant, flight.Schema, "participant"},
		{"car", participant, car.Schema, "participant"},
		{"bank", participant, bank.Schema, "participant"},
	}
}

// system is everything that runs.
type system struct {
	dir       string
	removeDir func() error
	postgres  *postgres.Server
	broker    *broker.Broker
	databases map[string]string // URLs by service
	processes []*process.Process
	ended     chan string // names of processes that ended by themselves
}

// start returns what was started also where it fails.
func start(ctx context.Context) (*system, error) {
	s := &system{databases: map[string]string{}, ended: make(chan string, 10)}
	var err error
	if s.dir, s.removeDir, err = tempdir.Make("trip"); err != nil {
		return s, err
	}
	say("building the services and the relay")
	if err := s.build(ctx); err != nil {
		return s, err
	}
	say("starting Postgres and a broker")
	if s.postgres, err = postgres.Start(ctx, postgres.Config{Dir: filepath.Join(s.dir, "postgres"), Disposable: true, Progress: os.Stdout}); err != nil {
		return s, err
	}
	if s.broker, err = broker.Open(ctx, broker.Config{Topics: []string{
		trip.TopicTrips, trip.TopicHotel, trip.TopicHotelCommands, trip.TopicFlight, trip.TopicFlightCommands,
		trip.TopicCar, trip.TopicCarCommands, trip.TopicBank, trip.TopicBankCommands,
	}}); err != nil {
		return s, err
	}
	for _, service := range services() {
		if err := s.install(ctx, service); err != nil {
			return s, fmt.Errorf("database %s: %w", service.name, err)
		}
	}
	say("starting the services and the relay")
	return s, s.run()
}

func say(what string) { _, _ = fmt.Println(what, "…") }

// build makes the programs. The relay is Waybill's, in the version that go.mod names.
func (s *system) build(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "build", "-o", s.dir+string(filepath.Separator),
		"trip.example/cmd/orchestrator", "trip.example/cmd/participant", "waybill.example/outbox-relay").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// install makes a service's database and the tables in it.
func (s *system) install(ctx context.Context, of service) error {
	server, err := pgx.Connect(ctx, s.postgres.URL("postgres"))
	if err != nil {
		return err
	}
	defer server.Close(ctx)
	if _, err := server.Exec(ctx, "create database "+pgx.Identifier{of.name}.Sanitize()); err != nil {
		return err
	}
	s.databases[of.name] = s.postgres.URL(of.name)
	if _, err := migrations.Up(ctx, s.databases[of.name], of.sets...); err != nil {
		return err
	}
	own, err := pgx.Connect(ctx, s.databases[of.name])
	if err != nil {
		return err
	}
	defer own.Close(ctx)
	_, err = own.Exec(ctx, of.schema)
	return err
}

// run starts the programs.
func (s *system) run() error {
	var sources []string
	for name, url := range s.databases {
		sources = append(sources, name+"="+url)
	}
	if err := s.process("outbox-relay", "outbox-relay", "RELAY_DATABASES="+strings.Join(sources, ",")); err != nil {
		return err
	}
	for _, service := range services() {
		if service.program == "" {
			continue
		}
		if err := s.process(service.name, service.program, "DATABASE_URL="+s.databases[service.name], "PARTICIPANT="+service.name); err != nil {
			return err
		}
	}
	return nil
}

func (s *system) process(name, program string, env ...string) error {
	p, err := process.Start(process.Command{
		Name: name, Path: filepath.Join(s.dir, program),
		Env: append(append(os.Environ(), "KAFKA_BROKERS="+s.broker.Addr(), "HTTP_ADDR=127.0.0.1:0"), env...),
	})
	if err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	go func() {
		<-p.Done()
		s.ended <- name
	}()
	return nil
}

// stop ends everything that was started, and says what the programs wrote last where something
// failed.
func (s *system) stop(ctx context.Context, failure error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	for _, p := range slices.Backward(s.processes) {
		if err := p.Stop(ctx); err != nil && failure == nil {
			failure = err
		}
		if failure != nil {
			_, _ = fmt.Fprintf(os.Stderr, "%s:\n  %s\n", p.Name(), strings.Join(p.Tail(), "\n  "))
		}
	}
	if s.broker != nil {
		s.broker.Close()
	}
	if s.postgres != nil {
		failure = errors.Join(failure, s.postgres.Stop(), s.postgres.Remove()) //nolint:contextcheck // it stops within a time of its own
	}
	if s.removeDir != nil {
		failure = errors.Join(failure, s.removeDir())
	}
	return failure
}
