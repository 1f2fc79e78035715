package service

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/chassis/httpserver"
	"waybill.example/devstack/loopback"
)

// The test binary is a service too: started with this variable it runs Main, as a process that can
// be sent signals.
const asService = "SERVICE_TEST_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(asService) != "" {
		Main("parcels", "A service for tests.", parcels{Config: ListenOn("127.0.0.1:0")}, build,
			kong.Embed(&parcelVerbs{}), kong.BindSingletonProvider(openScales))
	}
	os.Exit(m.Run())
}

type parcels struct {
	Config

	Weight int           `env:"PARCEL_WEIGHT" envDefault:"1"`
	Code   config.Secret `env:"PARCEL_CODE"`
	Never  bool          `env:"PARCEL_NEVER"` // there is no database, and it waits
}

func build(ctx context.Context, c parcels, log *slog.Logger) (*App, error) {
	log.InfoContext(ctx, "building", "ballast", ballast != nil)
	if c.Never {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	server, err := httpserver.New(c.HTTP, httpserver.Options{Title: "Parcels", Version: "1", Log: log, Metrics: prometheus.NewRegistry()})
	if err != nil {
		return nil, err
	}
	app := NewApp(log)
	app.OnStop("pool", func() { log.InfoContext(ctx, "pool closed") })
	app.Add("consumer", func(ctx context.Context) error {
		<-ctx.Done()
		log.InfoContext(ctx, "consumer drained")
		return nil
	})
	app.Serve(server)
	return app, nil
}

type scales struct{ out io.Writer }

func openScales(_ context.Context, out io.Writer, cleanup Cleanup) (*scales, error) {
	cleanup(func() { _, _ = io.WriteString(out, "scales closed\n") })
	return &scales{out}, nil
}

type parcelVerbs struct {
	Weigh weigh `cmd:""`
}

type weigh struct{}

func (weigh) Run(s *scales) error {
	_, err := io.WriteString(s.out, "2 kg \x1b[2J\n")
	return err
}

// process is a service that runs, with what it writes.
type process struct {
	*exec.Cmd

	out, log bytes.Buffer
	lines    chan struct{} // one per line of the log
}

// Write implements io.Writer for the log.
func (p *process) Write(text []byte) (int, error) {
	p.log.Write(text)
	for range bytes.Count(text, []byte("\n")) {
		p.lines <- struct{}{}
	}
	return len(text), nil
}

func start(t *testing.T, args []string, env ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...), lines: make(chan struct{}, 1000)}
	p.Env = append(os.Environ(), append(env, asService+"=1", "LOG_FORMAT=json")...)
	p.Stdout, p.Stderr = &p.out, p
	require.NoError(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill() })
	return p
}

// status waits until the process has ended, and returns its exit status.
func (p *process) status(t *testing.T) int {
	t.Helper()
	ended := make(chan struct{})
	go func() { _ = p.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the process does not end: " + p.log.String())
	}
	return p.ProcessState.ExitCode()
}

// awaitLines waits until the log has n more lines.
func (p *process) awaitLines(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-p.lines:
		case <-time.After(time.Minute):
			t.Fatal("the process is silent")
		}
	}
}

func TestMain_StopsInReverseOrderOnASignal(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		p := start(t, nil, "PARCEL_CODE=hush")
		p.awaitLines(t, 3) // starting, building, serving
		require.NoError(t, p.Process.Signal(signal))
		require.Zero(t, p.status(t), p.log.String())
		log := p.log.String()
		require.Less(t, strings.Index(log, "serving HTTP"), strings.Index(log, "stopping"))
		require.Less(t, strings.Index(log, "stopping"), strings.Index(log, "consumer drained"))
		require.Less(t, strings.Index(log, "consumer drained"), strings.Index(log, "pool closed"), "the pool is last")
		require.Contains(t, log, `"msg":"starting","service":"parcels","version":"`)
		require.Contains(t, log, `"parcel_code":"***"`)
		require.NotContains(t, log, "hush")
	}
}

// A container that is stopped while its database is still down did nothing wrong.
func TestMain_StopsWhileItWaitsForItsDatabase(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "PARCEL_NEVER=true")
	p.awaitLines(t, 2)
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.Zero(t, p.status(t), p.log.String())
}

// A supervisor must tell what a restart can help (1) from what it cannot (2).
func TestMain_ExitStatusTellsInvalidFromFailed(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	for name, tt := range map[string]struct {
		args, env []string
		status    int
		says      []string
	}{
		"settings":     {nil, []string{"PARCEL_WEIGHT=heavy", "LOG_LEVEL=loud"}, 2, []string{"parcels: invalid configuration:", "PARCEL_WEIGHT", "LOG_LEVEL"}},
		"command line": {[]string{"--frobnicate"}, nil, 2, []string{"unknown flag --frobnicate"}},
		"failed":       {nil, []string{"HTTP_ADDR=" + taken.Addr().String()}, 1, []string{"parcels: listen", "address already in use"}},
		"healthcheck":  {[]string{"healthcheck"}, []string{"HTTP_ADDR=127.0.0.1:1"}, 1, []string{"parcels: healthcheck: http://127.0.0.1:1/readyz does not answer"}},
		"help":         {[]string{"--help"}, nil, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, tt.args, tt.env...)
			require.Equal(t, tt.status, p.status(t), p.log.String())
			for _, text := range tt.says {
				require.Contains(t, p.log.String(), text)
			}
		})
	}
}

func TestMain_HealthcheckAsksTheRunningProcess(t *testing.T) {
	t.Parallel()
	port, err := loopback.FreePort()
	require.NoError(t, err)
	addr := loopback.Addr(port)
	p := start(t, nil, "HTTP_ADDR="+addr)
	p.awaitLines(t, 3)
	asked := start(t, []string{"healthcheck", "livez", "--timeout=1m"}, "HTTP_ADDR="+addr)
	require.Zero(t, asked.status(t), asked.log.String())
	require.Equal(t, "healthcheck: http://"+addr+"/livez answered 200\n", asked.out.String())
	response, err := http.Get("http://" + addr + "/livez") //nolint:noctx // a test
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
}

// What a verb prints does not steer the terminal, and what it opened is closed.
func TestMain_VerbsGetWhatTheyNeed(t *testing.T) {
	t.Parallel()
	p := start(t, []string{"weigh"})
	require.Zero(t, p.status(t), p.log.String())
	require.Equal(t, "2 kg \\u001b[2J\nscales closed\n", p.out.String())
}

func TestMain_BallastCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{"GC_BALLAST=": `"ballast":true`, "GC_BALLAST=false": `"ballast":false`} {
		p := start(t, nil, setting)
		p.awaitLines(t, 3)
		require.NoError(t, p.Process.Signal(syscall.SIGTERM))
		require.Zero(t, p.status(t))
		require.Contains(t, p.log.String(), want)
	}
}

func TestMain_SaysWhatWasBuilt(t *testing.T) {
	t.Parallel()
	p := start(t, []string{"--version"})
	require.Zero(t, p.status(t))
	require.Regexp(t, `^parcels \S+( [0-9a-f]{12})? go1\.\S+ \S+\n$`, p.out.String())
}

// A service that cannot start leaves nothing open, or an end-to-end test that expects it would.
func TestWire_ReleasesWhatAFailedWiringHasOpened(t *testing.T) {
	t.Parallel()
	var released []string
	log := slog.New(slog.DiscardHandler)
	failed := errors.New("no schema")
	app, err := Wire(log, func(app *App) error {
		app.OnStop("pool", func() { released = append(released, "pool") })
		app.OnStop("ends", func() { released = append(released, "ends") })
		return failed
	})
	require.ErrorIs(t, err, failed)
	require.Nil(t, app)
	require.Equal(t, []string{"ends", "pool"}, released)
}
