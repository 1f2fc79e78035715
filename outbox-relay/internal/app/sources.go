package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"waybill.example/chassis/httpserver"
	"waybill.example/outbox-relay/internal/httpapi"
	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/relay"
	"waybill.example/outbox-relay/internal/source"
)

// sources are all that a process relays.
type sources []*relay.Source

// run relays until ctx ends. All of them stop at the same time, each with its patience for rows in
// flight.
func (all sources) run(ctx context.Context) error {
	errs := make([]error, len(all))
	var running sync.WaitGroup
	for i, s := range all {
		running.Go(func() { errs[i] = s.Run(ctx) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// checks are those of /readyz. What is wrong with a database is shown, and does not make the
// process unready for the others: only when no database is relayed is it of no use.
func (all sources) checks() []httpserver.Check {
	checks := []httpserver.Check{{Name: "sources", Required: true, Run: func(context.Context) error { return all.trouble() }}}
	for _, s := range all {
		checks = append(checks,
			httpserver.Check{Name: "database " + s.Name(), Run: func(context.Context) error {
				status := s.Status()
				if status.State == relay.Paused {
					return fmt.Errorf("paused: nothing is published until: outbox-relay resume --database %s", s.Name())
				}
				return databaseTrouble(status)
			}},
			httpserver.Check{Name: "broker for " + s.Name(), Run: func(context.Context) error { return brokerTrouble(s.Status()) }},
			httpserver.Check{Name: "vacuum of " + s.Name(), Run: func(context.Context) error { return vacuumTrouble(s.Status()) }})
	}
	return checks
}

// list returns how each source is doing, for the API.
func (all sources) list() []httpapi.Source {
	list := make([]httpapi.Source, 0, len(all))
	for _, s := range all {
		status := s.Status()
		list = append(list, httpapi.Source{
			Database: s.Name(), State: string(status.State), Since: status.Since.UTC(),
			Problem: text(databaseTrouble(status)), BrokerProblem: text(brokerTrouble(status)),
		})
	}
	return list
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// trouble returns an error if nothing is relayed.
func (all sources) trouble() error {
	var troubled []string
	for _, s := range all {
		status := s.Status()
		err := databaseTrouble(status)
		if err == nil {
			err = brokerTrouble(status)
		}
		if err == nil {
			return nil
		}
		troubled = append(troubled, s.Name()+": "+err.Error())
	}
	return errors.New(strings.Join(troubled, "; "))
}

// brokerTrouble is what anybody may read about the broker as a source sees it.
func brokerTrouble(status relay.Status) error {
	var waits []string
	for _, topic := range slices.Sorted(maps.Keys(status.Waits)) {
		waits = append(waits, fmt.Sprintf("rows for topic %s wait for the broker since %s", topic, status.Waits[topic].UTC().Format(clock)))
	}
	since := status.BrokerDownSince.UTC().Format(clock)
	switch {
	case errors.Is(status.BrokerErr, relay.ErrProducerEnds):
		return fmt.Errorf("the Kafka producer ends again and again since %s; the log says why", since)
	case status.BrokerErr != nil:
		return fmt.Errorf("no broker answers since %s; rows wait in the database", since)
	case len(waits) > 0:
		return errors.New(strings.Join(waits, "; "))
	}
	return nil
}

const clock = "15:04:05"

func vacuumTrouble(status relay.Status) error {
	if status.Vacuum == "" {
		return nil
	}
	return errors.New("vacuum is held back by a " + status.Vacuum)
}

// databaseTrouble is what anybody may read about a source's database: what its operator has to do,
// but not how the database is reached.
func databaseTrouble(status relay.Status) error {
	var truncated *source.SequenceError
	var config *publish.ConfigError
	var holder *source.HolderError
	switch {
	case errors.As(status.Err, &holder):
		return holder
	case status.State != relay.Connecting:
		return nil
	case errors.Is(status.Err, source.ErrNoSchema), errors.Is(status.Err, source.ErrTransactionPooler), errors.As(status.Err, &truncated):
		return status.Err
	case errors.As(status.Err, &config):
		return errors.New("a Kafka setting is not valid; the log says which")
	case status.Err != nil:
		return errors.New("the database does not answer, or not as expected; the log says more")
	default:
		return errors.New("connecting")
	}
}
