package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"waybill.example/chassis/config"
	"waybill.example/chassis/service"
	"waybill.example/outbox-relay/cli"
	"waybill.example/outbox-relay/internal/ops"
)

// Databases is the setting that every verb needs.
type Databases struct {
	// List has the databases to relay, name=URL, separated by commas, semicolons or white space.
	// The name is part of each message's ce_source.
	List config.Secret `env:"RELAY_DATABASES"`
}

// Validate returns every fault of the settings.
func (c Databases) Validate() []error {
	_, faults := c.pairs()
	return faults
}

// database is one entry of RELAY_DATABASES.
type database struct{ name, url string }

// An entry begins where a name and the scheme of a URL follow a separator, and nowhere else: a URL
// may list several hosts by commas, and its password may have anything in it.
var entryBegins = regexp.MustCompile(`(?:^|[,;\s])\s*([^\s,;=/:@]+)=postgres(?:ql)?://`)

func (c Databases) pairs() (all []database, faults []error) {
	const wanted = "RELAY_DATABASES must list name=URL, separated by commas, semicolons or white space"
	list := string(c.List)
	if strings.Trim(list, ",; \t\r\n") == "" {
		return nil, []error{errors.New(wanted)}
	}
	begins := entryBegins.FindAllStringSubmatchIndex(list, -1)
	if len(begins) == 0 || strings.Trim(list[:begins[0][0]], ",; \t\r\n") != "" {
		return nil, []error{errors.New(wanted + "; the first entry is not of that form, such as orders=postgres://user@host/orders")}
	}
	seen := map[string]bool{}
	for i, at := range begins {
		end := len(list)
		if i+1 < len(begins) {
			end = begins[i+1][0]
		}
		entry := database{name: list[at[2]:at[3]], url: strings.Trim(list[at[3]+1:end], ",; \t\r\n")}
		switch {
		case strings.ContainsAny(entry.url, " \t\r\n"):
			faults = append(faults, fmt.Errorf("RELAY_DATABASES: what follows the URL of %s is not name=URL", entry.name)) // it may hold a password
		case seen[entry.name]:
			faults = append(faults, fmt.Errorf("RELAY_DATABASES names %s twice", entry.name))
		}
		seen[entry.name] = true
		all = append(all, entry)
	}
	return all, faults
}

// open returns the databases for operators to look at. It connects to none yet.
func (c Databases) open() ([]*ops.Database, error) {
	pairs, faults := c.pairs()
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	var all []*ops.Database
	for _, db := range pairs {
		d, err := ops.Open(db.name, db.url)
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

func closeAll(databases []*ops.Database) {
	for _, d := range databases {
		d.Close()
	}
}

// OpenSession returns what a verb of the command line works with: the databases of RELAY_DATABASES,
// the only setting that it needs, and where to write.
func OpenSession(ctx context.Context, out io.Writer, cleanup service.Cleanup) (*cli.Session, error) {
	var c Databases
	if err := config.Load(&c); err != nil {
		return nil, err
	}
	databases, err := c.open() //nolint:contextcheck // it connects when a verb does
	if err != nil {
		return nil, err
	}
	cleanup(func() { closeAll(databases) })
	return &cli.Session{Context: ctx, Out: out, Databases: databases}, nil
}
