package stack

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/loopback"
	"waybill.example/devstack/pgtest"
	"waybill.example/devstack/process"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// script is a unit that runs a shell script, and is ready once that has printed
// "ready".
func script(t *testing.T, dir, name, text string) *unit {
	t.Helper()
	u := &unit{name: name, addr: "127.0.0.1:1", logPath: filepath.Join(dir, name+".log")}
	u.command = process.Command{Path: "/bin/sh", Args: []string{"-c", text}}
	u.ready = func(context.Context) error {
		log, err := os.ReadFile(u.logPath)
		if err == nil && !bytes.Contains(log, []byte("ready\n")) {
			err = errors.New("not yet")
		}
		return err
	}
	return u
}

const (
	obedient = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
	sickly   = "echo cannot open the ledger; exit 7"
)

// start runs a stack of scripts, in two stages.
func start(t *testing.T, servers, services []*unit, dir string) (*Stack, *process.Buffer, error) {
	t.Helper()
	shown := new(process.Buffer)
	s := &Stack{
		cfg:       Config{Dir: dir, Console: NewConsole(shown, false), ShowLogs: true},
		stages:    [][]*unit{servers, services},
		databases: map[string]string{"orders": "postgres://x"},
	}
	var err error
	s.control, err = serveControl(s)
	require.NoError(t, err)
	if err = s.startStage(t.Context(), servers); err == nil {
		err = s.startStage(t.Context(), services)
	}
	return s, shown, err
}

// stateDir has a path that is short enough for a socket.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "stack-") //nolint:usetesting // t.TempDir is too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestUp_RefusesALongDirectoryBeforeAnythingIsMade(t *testing.T) {
	t.Parallel()
	parent := stateDir(t)
	dir := filepath.Join(parent, strings.Repeat("d", 100))
	_, err := Up(t.Context(), Config{Dir: dir})
	require.ErrorContains(t, err, "too long for a socket in it: "+dir)
	require.ErrorContains(t, err, "--dir")
	require.NoDirExists(t, dir)
}

func TestActionsAreVisibleInStackJSON(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	s, shown, err := start(t, []*unit{script(t, dir, "broker", obedient)}, []*unit{script(t, dir, "orders", obedient)}, dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Down(context.WithoutCancel(t.Context()))) }()
	pid := func(name string) int {
		state, err := Read(dir)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"orders": "postgres://x"}, state.Databases)
		p, ok := state.Process(name)
		require.True(t, ok)
		return p.Pid
	}
	client, err := Dial(dir)
	require.NoError(t, err)
	defer client.Close()
	act := func(action Action) { require.NoError(t, client.Act(t.Context(), action, "broker"), action) }
	state := func() RunState {
		all, err := client.Status(t.Context())
		require.NoError(t, err)
		return all[0].State
	}

	first, other := pid("broker"), pid("orders")
	require.True(t, alive(first))
	act(Freeze)
	require.Equal(t, Frozen, state())
	act(Thaw)
	require.Equal(t, Running, state())
	act(Kill)
	require.Equal(t, Stopped, state())
	require.False(t, alive(first))
	require.Zero(t, pid("broker"))

	act(Start)
	second := pid("broker")
	require.True(t, alive(second))
	act(Freeze)
	act(Stop) // wakes it, so that it can end in order
	require.False(t, alive(second))
	log, err := os.ReadFile(filepath.Join(dir, "broker.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), "bye")
	info, err := os.Stat(filepath.Join(dir, "broker.log"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "orders and errors of SQL are in the logs")

	act(Launch)
	require.NotZero(t, pid("broker"))
	require.Equal(t, other, pid("orders"), "the others go on")
	require.NotContains(t, shown.String(), "by itself")
}

func TestWhatCannotBeDoneIsSaid(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	s, _, err := start(t, []*unit{script(t, dir, "broker", obedient), {name: "postgres", notOurs: true}}, nil, dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Down(context.WithoutCancel(t.Context()))) }()
	client, err := Dial(dir)
	require.NoError(t, err)
	defer client.Close()

	require.EqualError(t, client.Act(t.Context(), Stop, "brokr"),
		`the stack has no process "brokr": there are ["broker" "postgres"]`)
	require.ErrorContains(t, client.Act(t.Context(), Start, "broker"), "broker runs already, as process ")
	require.EqualError(t, client.Act(t.Context(), "tickle", "broker"), `there is no action "tickle"`)
	require.EqualError(t, client.Act(t.Context(), Kill, "postgres"),
		"postgres is not run by this stack: the environment names another")
	require.NoError(t, client.Act(t.Context(), Stop, "broker"))
	require.EqualError(t, client.Act(t.Context(), Freeze, "broker"), "broker does not run")
}

func TestNoStackIsAnErrorThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	client, err := Dial(dir)
	require.NoError(t, err)
	defer client.Close()
	require.EqualError(t, client.Act(t.Context(), Stop, "broker"), "no stack runs in "+dir+": `devstack up` starts one")
	_, err = Read(dir)
	require.ErrorIs(t, err, ErrNoStack)
}

// A process that was killed by hand is reported, stays dead, and can be started.
func TestProcessThatEndsByItselfIsReportedAndNotRestarted(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	s, shown, err := start(t, []*unit{script(t, dir, "broker", obedient)}, nil, dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Down(context.WithoutCancel(t.Context()))) }()
	before, err := Read(dir)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(before.Processes[0].Pid, syscall.SIGKILL))
	require.Eventually(t, func() bool { return strings.Contains(shown.String(), "by itself: signal: killed") },
		time.Minute, 5*time.Millisecond)
	require.Eventually(t, func() bool {
		state, err := Read(dir)
		return err == nil && state.Processes[0].Pid == 0
	}, time.Minute, 5*time.Millisecond)
	require.NoError(t, s.Act(t.Context(), Start, "broker"))
}

// When one process dies at start, Up's error names it with its last words, and
// the processes that were well are ended too.
func TestProcessThatDiesAtStartIsNamedAndNoneIsLeft(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	s, _, err := start(t, []*unit{script(t, dir, "broker", obedient)},
		[]*unit{script(t, dir, "orders", obedient), script(t, dir, "inventory", sickly)}, dir)
	var notReady *process.NotReadyError
	require.ErrorAs(t, err, &notReady)
	require.EqualError(t, err, "inventory ended before it was ready: exit status 7; its last output:\n    cannot open the ledger")

	var pids []int
	for _, p := range s.State().Processes {
		if p.Pid != 0 {
			pids = append(pids, p.Pid)
		}
	}
	require.NotEmpty(t, pids)
	require.NoError(t, s.Down(context.WithoutCancel(t.Context())))
	for _, pid := range pids {
		require.False(t, alive(pid))
	}
}

func TestOneDirectoryHoldsOneStack(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	lock, err := lockDir(dir)
	require.NoError(t, err)
	_, err = lockDir(dir)
	require.ErrorContains(t, err, "a stack runs in "+dir+" already")
	require.NoError(t, lock.Close())
	lock, err = lockDir(dir)
	require.NoError(t, err)
	require.NoError(t, lock.Close())
}

// What a killed supervisor may leave is ended; a stranger that has since got
// the process id is not.
func TestLeftoversAreEndedAndStrangersAreNot(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	program := filepath.Join(dir, "a path with spaces", "orders")
	require.NoError(t, os.Mkdir(filepath.Dir(program), 0o755))
	require.NoError(t, os.Symlink(sleep, program))
	run := func(path string) *process.Process {
		p, err := process.Start(process.Command{Name: "x", Path: path, Args: []string{"600"}})
		require.NoError(t, err)
		t.Cleanup(p.Kill)
		return p
	}
	leftover, stranger := run(program), run(sleep)
	state := State{Processes: []Process{
		{Name: "orders", Pid: leftover.Pid()}, {Name: "inventory", Pid: stranger.Pid()}, {Name: "broker", Pid: 1 << 30},
	}}
	require.NoError(t, state.write(dir))
	shown := new(process.Buffer)
	endLeftovers(dir, NewConsole(shown, false))
	<-leftover.Done()
	require.True(t, alive(stranger.Pid()))
	require.Contains(t, shown.String(), "ending orders")
	require.NotContains(t, shown.String(), "ending inventory")
}

func TestTakenPortIsNamed(t *testing.T) {
	t.Parallel()
	ports, err := choosePorts(true, []string{Broker, Orders})
	require.NoError(t, err)
	require.NotEqual(t, ports[Broker], ports[Orders])

	taken, err := net.Listen("tcp", loopback.Addr(fixedPorts[Relay]))
	if err == nil {
		defer taken.Close() // else somebody else has it, which is as well
	}
	_, err = choosePorts(false, []string{Relay})
	require.ErrorContains(t, err, "port 8083, which outbox-relay listens on, is in use")
	require.ErrorContains(t, err, "--ephemeral-ports")
}

func TestConsoleKeepsLinesWholeAndNamesTheirProcess(t *testing.T) {
	t.Parallel()
	shown := new(process.Buffer)
	console := NewConsole(shown, false)
	orders := console.writer("orders")
	for _, part := range []string{"hel", "lo\nwor", "ld\n"} {
		_, err := orders.Write([]byte(part))
		require.NoError(t, err)
	}
	console.Say("done in %d s", 3)
	require.Equal(t, "orders       | hello\norders       | world\ndevstack     | done in 3 s\n", shown.String())
}

// What fails because of Ctrl-C is not what happened.
func TestInterrupted_SaysThatAndNothingElse(t *testing.T) {
	t.Parallel()
	refused := errors.New("connection refused")
	require.Equal(t, refused, Interrupted(t.Context(), refused))
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(errors.New("interrupt signal received"))
	require.NoError(t, Interrupted(ctx, nil))
	require.EqualError(t, Interrupted(ctx, refused), "it was interrupted before it was done: interrupt signal received")
}
