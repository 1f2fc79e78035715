// Bench measures the whole of Waybill from outside, on a stack of its own with every process
// separate and fsync on. It prints a line "name value unit" for each figure, and writes a report
// with plots.
//
//	bench                      the whole of it, in about twenty minutes
//	bench --quick              a taste of everything, in less than two minutes
//	bench throughput latency   some parts; bench --help lists them
//	bench relay                the outbox relay by itself; bench relay drain latency: parts of it
//	bench compare --base REV   CPU, latency, WAL against another revision, measured in turns
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"waybill.example/chassis/config"
	"waybill.example/chassis/exitstatus"
	"waybill.example/chassis/lifecycle"
	"waybill.example/chassis/telemetry"
	"waybill.example/chassis/version"
	"waybill.example/drills/bench/internal/baseline"
	"waybill.example/drills/bench/internal/relay"
)

// options are how much to measure.
type options struct {
	Parts     []string      `arg:"" optional:"" help:"What to measure: ${parts}. Everything, if nothing is named."`
	Quick     bool          `help:"Short versions of everything."`
	Search    time.Duration `default:"30s" help:"How long to search for the highest rate."`
	Sustain   time.Duration `default:"60s" help:"How long the highest rate has to be sustained."`
	Latency   time.Duration `default:"30s" help:"How long latencies are measured, at each rate."`
	Backlog   int64         `default:"200000" help:"How many orders are taken while the broker is down."`
	Idle      time.Duration `default:"2m" help:"How long it is watched what a system costs that nobody uses."`
	Memory    time.Duration `default:"60s" help:"How long memory is watched."`
	Long      time.Duration `default:"3m" help:"How long tables are watched under load. Autovacuum looks once a minute."`
	History   int64         `default:"1000000" help:"How many finished orders growth is measured with."`
	Rate      float64       `help:"Take this for the highest rate, rather than search for it."`
	Dir       string        `default:".waybill/bench" help:"Where the stack keeps its data. Relative to the source tree."`
	HTML      string        `name:"html" default:".waybill/bench.html" help:"Where the report goes. Relative to the source tree."`
	Markdown  string        `default:".waybill/bench.md" help:"Where the same goes as tables in Markdown. Relative to the source tree."`
	Broker    string        `enum:"embedded,kafka" default:"embedded" env:"BROKER" help:"The embedded broker, or a real Apache Kafka of one node, which needs Java 17 and Maven."`
	KeepGoing bool          `help:"Go on with the next part where one fails."`
}

// quick makes everything short.
func (o *options) quick() {
	o.Search, o.Sustain, o.Latency, o.Memory, o.Idle = 6*time.Second, 6*time.Second, 3*time.Second, 4*time.Second, 3*time.Second
	o.Backlog, o.History, o.Long = 3000, 20_000, 4*time.Second
}

type runCommand struct{ options }

func (c *runCommand) Run(ctx context.Context, out io.Writer) error {
	if c.Quick {
		c.quick()
	}
	return run(ctx, c.options, out)
}

// baselineCommand is how the bench runs the baseline's processes: as itself, under another name.
type baselineCommand struct {
	Role string `arg:"" enum:"orders,inventory"`
}

func (c *baselineCommand) Run(ctx context.Context) error {
	var cfg baseline.Config
	if err := config.Load(&cfg); err != nil {
		return err
	}
	log := telemetry.Logger(telemetry.Config{LogFormat: "text"}, "baseline-"+c.Role, os.Stderr)
	if c.Role == "orders" {
		return baseline.Orders(ctx, cfg, log)
	}
	return baseline.Inventory(ctx, cfg, log)
}

type commands struct {
	Run     runCommand     `cmd:"" default:"withargs" help:"Measure the whole system."`
	Relay   relayCommand   `cmd:"" help:"Measure the outbox relay by itself."`
	Compare compareCommand `cmd:"" help:"Measure in turns against another revision of this repository."`

	Version kong.VersionFlag `help:"Say what was built, and stop."`

	// The processes that the bench starts.
	Baseline       baselineCommand `cmd:"" name:"baseline-process" hidden:""`
	Produce        produceCommand  `cmd:"" hidden:""`
	EmbeddedOrders embeddedCommand `cmd:"" hidden:""`
}

func main() {
	ctx, stop := lifecycle.Signals()
	var c commands
	parsed := kong.Parse(&c, kong.Name("bench"), kong.UsageOnError(), kong.Exit(exitstatus.Exit),
		kong.Description("Measures the whole of Waybill from outside."),
		kong.Vars{"version": "bench " + version.Get().String(), "parts": strings.Join(partNames(), ", "), "relay_parts": strings.Join(relay.Parts(), ", ")},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(os.Stdout, (*io.Writer)(nil)),
	)
	err := parsed.Run()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
