// Command migrate applies, shows and takes back the schema of a Waybill database.
//
//	migrate up     --database postgres://… --dry-run outbox orders
//	migrate up     --database postgres://… outbox orders
//	migrate up     --database postgres://… --grant orders_relay=relay outbox orders
//	migrate status --database postgres://… outbox orders
//	migrate down   --database postgres://… orders
//	migrate grants --to orders_relay relay | psql postgres://…
//
// It exits with 0, with 1 where that failed, or with 2 where the command line is wrong.
package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"waybill.example/chassis/exitstatus"
	"waybill.example/chassis/version"
	"waybill.example/migrations"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var commands cli
	k := kong.Parse(&commands,
		kong.Name("migrate"),
		kong.Description("Applies, shows and takes back the schema of a Waybill database.\nSets: outbox participant orders inventory orchestrator."),
		kong.UsageOnError(), kong.Exit(exitstatus.Exit),
		kong.Vars{"version": "migrate " + version.Get().String()},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(os.Stdout, (*io.Writer)(nil)),
	)
	k.FatalIfErrorf(k.Run())
}

type cli struct {
	Up      up               `cmd:"" help:"Apply the pending migrations of the sets."`
	Down    down             `cmd:"" help:"Take back the newest migration of one set, and its data with it."`
	Status  status           `cmd:"" help:"List the migrations of the sets, applied and pending."`
	Version kong.VersionFlag `help:"Say what was built, and stop."`

	Grants grants `cmd:"" help:"Print the SQL that gives a login what its roles need, for psql. Roles: writer consumer participant relay reader, and by service orders inventory orchestrator."`
}

type database struct {
	URL string `name:"database" required:"" env:"DATABASE_URL" help:"The database, as postgres://user:password@host:port/name."`
}

type up struct {
	database
	Sets   []migrations.Set             `arg:"" help:"The sets to apply, in this order."`
	DryRun bool                         `help:"Print the SQL that would run, for a review, and change nothing."`
	Grant  map[string][]migrations.Role `placeholder:"LOGIN=ROLE,…" help:"Then give a login, which has to be there, what its roles need, as grants prints it. Can be repeated."`
}

type down struct {
	database
	Set migrations.Set `arg:"" help:"The set to take one migration back of."`
}

type status struct {
	database
	Sets []migrations.Set `arg:"" help:"The sets to list."`
}

type grants struct {
	To    string            `required:"" help:"The login: a role of its own for each service, and for the relay one for each database."`
	Roles []migrations.Role `arg:"" help:"What it does."`
}

func (c *grants) Run(_ context.Context, out io.Writer) error {
	sql, err := migrations.Grants(c.To, c.Roles...)
	fmt.Fprint(out, sql)
	return err
}

func (c *up) Run(ctx context.Context, out io.Writer) error {
	grants, err := c.grants() // before anything is applied
	if err != nil {
		return err
	}
	pending, err := migrations.Plan(ctx, c.URL, c.Sets...)
	if err != nil {
		return err
	}
	if c.DryRun {
		show(out, pending, grants)
		return nil
	}
	for _, p := range pending {
		fmt.Fprintf(out, "to apply: %s/%s\n", p.Set, p.File)
	}
	steps, err := migrations.Up(ctx, c.URL, c.Sets...)
	for _, s := range steps {
		fmt.Fprintf(out, "applied %s/%s in %s\n", s.Set, s.File, s.Took.Round(time.Millisecond))
	}
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		fmt.Fprintln(out, "nothing to apply: the schema is up to date")
	}
	for _, login := range slices.Sorted(maps.Keys(c.Grant)) {
		if err := migrations.ApplyGrants(ctx, c.URL, login, c.Grant[login]...); err != nil {
			return err
		}
		fmt.Fprintf(out, "granted %v to %s\n", c.Grant[login], login)
	}
	return nil
}

// grants are what the logins are to be given, in the order of their names.
func (c *up) grants() (sql string, err error) {
	for _, login := range slices.Sorted(maps.Keys(c.Grant)) {
		one, err := migrations.Grants(login, c.Grant[login]...)
		if err != nil {
			return "", err
		}
		sql += fmt.Sprintf("-- grants of %s\n%s", login, one)
	}
	return sql, nil
}

// show prints what would run.
func show(out io.Writer, pending []migrations.Pending, grants string) {
	for _, p := range pending {
		sql := p.SQL
		if p.InTransaction {
			sql = "begin;\n" + sql + "commit;\n"
		}
		fmt.Fprintf(out, "-- %s/%s\n%s\n", p.Set, p.File, sql)
	}
	if len(pending) == 0 {
		fmt.Fprintln(out, "-- nothing to apply: the schema is up to date")
	}
	fmt.Fprint(out, grants)
}

func (c *down) Run(ctx context.Context, out io.Writer) error {
	steps, err := migrations.Down(ctx, c.URL, c.Set)
	for _, s := range steps {
		fmt.Fprintf(out, "took back %s/%s in %s\n", s.Set, s.File, s.Took.Round(time.Millisecond))
	}
	if err == nil && len(steps) == 0 {
		fmt.Fprintln(out, "nothing to roll back: no migration is applied")
	}
	return err
}

func (c *status) Run(ctx context.Context, out io.Writer) error {
	steps, err := migrations.Status(ctx, c.URL, c.Sets...)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SET\tMIGRATION\tAPPLIED")
	for _, s := range steps {
		applied := "pending"
		if !s.Applied.IsZero() {
			applied = s.Applied.Local().Format(time.DateTime)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.Set, s.File, applied)
	}
	return table.Flush()
}
