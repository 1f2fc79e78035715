// Package telemetry gives a service its logger and its metrics.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/lmittmann/tint"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"waybill.example/chassis/logs"
	"waybill.example/chassis/terminal"
	"waybill.example/chassis/version"
)

// Config says how to log.
type Config struct {
	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	// LogFormat is text, for people, or json, for machines.
	LogFormat string `env:"LOG_FORMAT" envDefault:"text"`
}

// Validate returns every problem of the settings.
func (c Config) Validate() []error {
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return []error{fmt.Errorf("LOG_FORMAT must be text or json, not %q", c.LogFormat)}
	}
	return nil
}

// Logger returns a logger whose lines say what their context is about (package logs), and with JSON
// name the service. Text is coloured where w is a terminal.
func Logger(c Config, service string, w io.Writer) *slog.Logger {
	if c.LogFormat == "json" {
		return slog.New(logs.Handler(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: c.LogLevel}))).With("service", service)
	}
	return slog.New(logs.Handler(tint.NewTextHandler(w, &tint.Options{
		Level:      c.LogLevel,
		TimeFormat: "15:04:05.000",
		NoColor:    !terminal.Coloured(w),
		// Tint passes escape sequences on where it colours, and elsewhere cuts what it takes for
		// one.
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch v := a.Value.Any().(type) {
			case string:
				return plain(a, v)
			case error:
				return plain(a, v.Error())
			}
			return a
		},
	})))
}

// plain returns the attribute with text that neither steers a terminal nor hides what comes after
// it.
func plain(a slog.Attr, text string) slog.Attr {
	clean := strings.ReplaceAll(terminal.Clean(text), "\uFFFD", `\ufffd`)
	if clean != text {
		a.Value = slog.StringValue(clean)
	}
	return a
}

// Metrics returns a registry that already has the metrics of Go, of the process and of the build.
func Metrics() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewBuildInfoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(),
	)
	return reg
}

// buildInfo is 1, with what was built in its labels.
func buildInfo() prometheus.Collector {
	about := version.Get()
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "waybill_build_info", Help: "1; the labels say what was built.",
		ConstLabels: prometheus.Labels{"version": about.Version, "commit": about.Commit, "goversion": about.Go},
	}, func() float64 { return 1 })
}

// Name makes an identifier for this process, such as a client id: service-host-pid.
func Name(service string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s-%s-%d", service, strings.ReplaceAll(host, ".", "-"), os.Getpid())
}
