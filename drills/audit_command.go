package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/terminal"
	"waybill.example/contracts"
	"waybill.example/devstack/stack"
	"waybill.example/drills/audit"
	"waybill.example/drills/report"
)

type auditCommand struct {
	Dir        string            `default:"${dir}" help:"The state directory of the stack. Relative to the source tree."`
	Ledger     string            `type:"path" help:"The client's own record, as a load writes it."`
	DB         map[string]string `name:"database" placeholder:"NAME=URL" help:"Audit these databases in place of the stack's: orders, inventory and orchestrator."`
	Shard      contracts.Shard   `help:"Audit this shard of a stack that has shards, by its number."`
	Brokers    []string          `placeholder:"HOST:PORT" help:"Audit the topics of this Kafka in place of the stack's."`
	Settle     time.Duration     `default:"2s" help:"How long nothing of an order must have changed for it to be judged."`
	Overdue    time.Duration     `default:"5m" help:"From which age on an order must have ended. Longer than the sagas' deadlines."`
	Restored   map[string]string `placeholder:"NAME=FROM..TO" help:"A database that was taken back to an earlier moment: which one, and when (RFC 3339). What was published in between may have no row any more."`
	RepairPlan bool              `help:"Print what to run about the findings, as a script to be read first."`
	JSON       bool              `name:"json" help:"As JSON."`
	Watch      bool              `help:"Audit again and again, and export the findings as metrics."`
	Every      time.Duration     `default:"5s" help:"How often, with --watch."`
	Addr       string            `default:"127.0.0.1:8084" help:"Where to serve /metrics and /report, with --watch."`
}

var errFindings = errors.New("the audit found what should not be")

func (c *auditCommand) Run(ctx context.Context, stdout io.Writer) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	auditor, err := audit.New(ctx, cfg)
	if err != nil {
		return err
	}
	defer auditor.Close()
	if c.Watch {
		return c.watch(ctx, auditor, stdout)
	}
	found, err := auditor.Pass(ctx)
	if err != nil {
		return err
	}
	switch {
	case c.RepairPlan:
		found.Plan().Write(stdout)
	case c.JSON:
		encoder := json.NewEncoder(terminal.Writer(stdout))
		encoder.SetIndent("", "  ")
		err = encoder.Encode(found)
	default:
		report.Audit(stdout, found)
	}
	if err == nil && !found.Passed() {
		err = errFindings
	}
	return err
}

// config reads stack.json for what is not said.
func (c *auditCommand) config() (audit.Config, error) {
	cfg := audit.Config{
		Databases: c.DB, Brokers: c.Brokers, Ledger: c.Ledger, Shard: c.Shard,
		Limits: audit.Limits{Settle: c.Settle, Overdue: c.Overdue},
	}
	for name, period := range c.Restored {
		restored, err := parseRestored(name, period)
		if err != nil {
			return cfg, err
		}
		cfg.Restored = append(cfg.Restored, restored)
	}
	if len(c.DB) > 0 && len(c.Brokers) > 0 {
		return cfg, nil
	}
	dir := c.Dir
	if workspace, err := stack.Workspace("."); err == nil {
		dir = within(workspace, dir)
	}
	state, err := stack.Read(dir)
	if err != nil {
		return cfg, fmt.Errorf("find what to audit: %w", err)
	}
	if len(c.DB) == 0 {
		cfg.Databases = state.DatabasesOf(c.Shard)
	}
	if len(c.Brokers) == 0 {
		cfg.Brokers = strings.Split(state.Brokers(), ",")
	}
	return cfg, nil
}

// parseRestored reads FROM..TO.
func parseRestored(name, period string) (r audit.Restored, err error) {
	from, to, ok := strings.Cut(period, "..")
	if ok {
		r.Database = name
		if r.From, err = time.Parse(time.RFC3339, from); err == nil {
			r.To, err = time.Parse(time.RFC3339, to)
		}
	}
	if !ok || err != nil || r.To.Before(r.From) {
		return r, fmt.Errorf("--restored %s=%s: say to which moment it went back and when it was put in place, such as 2026-11-26T12:00:00Z..2026-11-26T12:20:00Z", name, period)
	}
	if !slices.Contains([]string{stack.Orders, stack.Inventory, stack.Orchestrator}, name) {
		return r, fmt.Errorf("--restored %s: the databases are orders, inventory and orchestrator", name)
	}
	return r, nil
}

func (c *auditCommand) watch(ctx context.Context, auditor *audit.Auditor, stdout io.Writer) error {
	reg := prometheus.NewRegistry()
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	tell := func(f audit.Finding) {
		terminal.Fprintf(stdout, "%s  %s: %s: %s\n          proposed: %s\n", time.Now().Format(time.TimeOnly), f.Check, f.Subject, f.Problem, f.Repair)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	watcher := audit.NewWatcher(auditor, c.Every, tell, log, reg)
	mux.HandleFunc("GET /report", func(w http.ResponseWriter, _ *http.Request) { answerReport(w, watcher.Last()) })
	server := &http.Server{Handler: httpserver.KnownHosts(listener.Addr(), nil, mux), ReadHeaderTimeout: time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // returns when it is closed
	}()
	fmt.Fprintf(stdout, "auditing every %s; metrics on http://%s/metrics, what was last found on /report; Ctrl-C ends it\n", c.Every, listener.Addr())
	watcher.Run(ctx)
	err = server.Close()
	<-served
	return err
}

// answerReport answers with the report of a pass, as --json prints it.
func answerReport(w http.ResponseWriter, found *audit.Report) {
	w.Header().Set("Content-Type", "application/json")
	if found == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"detail":"no pass is complete yet"}`) // only a client that hung up fails here
		return
	}
	_ = json.NewEncoder(w).Encode(found) // as above
}
