package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"waybill.example/chassis/auditlog"
	saga "waybill.example/orchestrator/cli"
)

type auditLogVerify struct {
	auditLogs
	Expect map[string]string `help:"Where a log ended when it was verified earlier: DATABASE=NUMBER:HASH. The log has to go on from there." mapsep:"none"`
	File   string            `help:"Verify an export (JSON lines) in place of the databases; - reads standard input." type:"path"`
}

// verified is what came of one database.
type verified struct {
	Database string `json:"database"`
	Entries  int64  `json:"entries"`
	End      string `json:"end"`
	Fault    string `json:"fault,omitempty"`
	Hidden   bool   `json:"hidden,omitempty"` // the fault: it cannot be checked by who asks
}

// Run checks the chains; the error says that one of them is broken, or could not be checked.
func (c *auditLogVerify) Run(t saga.Terminal) error {
	results, err := c.verify(t.Context)
	if err != nil {
		return err
	}
	results = append(results, c.missing(results)...)
	broken, hidden := 0, 0
	for _, r := range results {
		switch {
		case r.Hidden:
			hidden++
		case r.Fault != "":
			broken++
		}
		if !c.JSON {
			fmt.Fprintln(t.Out, r)
		}
	}
	if c.JSON {
		if err := printJSON(t.Out, results); err != nil {
			return err
		}
	}
	switch {
	case broken > 0:
		return fmt.Errorf("%d of %d audit logs are not what was recorded", broken, len(results))
	case hidden > 0:
		return fmt.Errorf("%d of %d audit logs could not be checked", hidden, len(results))
	}
	return nil
}

// String is the line about it.
func (r verified) String() string {
	switch {
	case r.Hidden:
		return fmt.Sprintf("%s: not checked: %s", r.Database, r.Fault)
	case r.Fault != "":
		return fmt.Sprintf("%s: BROKEN: %s", r.Database, r.Fault)
	}
	return fmt.Sprintf("%s: %d entries, ends at %s", r.Database, r.Entries, r.End)
}

// missing are the logs that are expected to go on, and are not there at all.
func (c *auditLogVerify) missing(found []verified) (all []verified) {
	for _, database := range slices.Sorted(maps.Keys(c.Expect)) {
		if !slices.ContainsFunc(found, func(r verified) bool { return r.Database == database }) {
			all = append(all, verified{Database: database, Fault: "there is no log of it, and it ended at " + c.Expect[database] + " before"})
		}
	}
	return all
}

func (c *auditLogVerify) verify(ctx context.Context) ([]verified, error) {
	if c.File != "" {
		return c.verifyFile()
	}
	databases, err := c.databases(ctx)
	if err != nil {
		return nil, err
	}
	results := []verified{}
	for _, database := range databases {
		check, err := c.begin(database)
		if err != nil {
			return nil, err
		}
		for r, err := range c.all(ctx, database, 0) {
			if err != nil {
				return nil, err
			}
			check.follow(r)
		}
		results = append(results, check.result())
	}
	return results, nil
}

func (c *auditLogVerify) verifyFile() ([]verified, error) {
	in := os.Stdin
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return nil, fmt.Errorf("open the export: %w", err)
		}
		defer func() { _ = file.Close() }() // it was read
		in = file
	}
	checks := map[string]*check{}
	decoder := json.NewDecoder(in)
	for decoder.More() {
		var e entry
		err := decoder.Decode(&e)
		if err == nil && e.Database == "" {
			err = errors.New("an entry names no database")
		}
		if err != nil {
			return nil, fmt.Errorf("%s is no export of audit logs as JSON lines: %w", c.File, err)
		}
		if checks[e.Database] == nil {
			begun, err := c.begin(e.Database)
			if err != nil {
				return nil, err
			}
			checks[e.Database] = begun
		}
		checks[e.Database].follow(e.Record)
	}
	results := []verified{}
	for _, database := range slices.Sorted(maps.Keys(checks)) {
		results = append(results, checks[database].result())
	}
	return results, nil
}

// check follows one chain, up to the first fault.
type check struct {
	database string
	chain    auditlog.Chain
	expected auditlog.Chain // the zero value: nothing is expected
	fault    error
}

func (c *auditLogVerify) begin(database string) (*check, error) {
	begun := &check{database: database}
	if kept, ok := c.Expect[database]; ok {
		var err error
		if begun.expected, err = auditlog.ParseChain(kept); err != nil {
			return nil, err
		}
	}
	return begun, nil
}

func (c *check) follow(r auditlog.Record) {
	if c.fault != nil {
		return
	}
	c.fault = c.chain.Follow(r)
	if c.fault == nil && c.chain.Seq == c.expected.Seq && c.chain.String() != c.expected.String() {
		c.fault = fmt.Errorf("entry %d is not the one that was there when the log ended at it: the log was written again", r.Seq)
	}
}

func (c *check) result() verified {
	if c.fault == nil && c.chain.Seq < c.expected.Seq {
		c.fault = fmt.Errorf("it ends at entry %d, and ended at entry %d before: entries were removed from its end", c.chain.Seq, c.expected.Seq)
	}
	r := verified{Database: c.database, Entries: c.chain.Seq, End: c.chain.String()}
	if c.fault != nil {
		r.Fault, r.Hidden = c.fault.Error(), errors.Is(c.fault, auditlog.ErrHidden)
	}
	return r
}
