package process_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/devstack/process"
)

// TestMain doubles as the parent that TestChildDiesWithItsParent kills.
func TestMain(m *testing.M) {
	if os.Getenv("WAYBILL_TEST_PARENT") != "" {
		child, err := process.Start(process.Command{Name: "sleep", Path: "/bin/sleep", Args: []string{"600"}})
		if err != nil {
			panic(err)
		}
		fmt.Println(child.Pid())
		<-child.Done()
		return
	}
	goleak.VerifyTestMain(m)
}

func shell(t *testing.T, script string, output io.Writer) *process.Process {
	t.Helper()
	p, err := process.Start(process.Command{
		Name: "script", Path: "/bin/sh", Args: []string{"-c", script}, Output: output,
	})
	require.NoError(t, err)
	t.Cleanup(p.Kill)
	return p
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 5*time.Millisecond, what)
}

func alive(pid int) bool {
	if state, ok := stateOf(pid); ok && state == 'Z' {
		return false
	}
	return syscall.Kill(pid, 0) == nil
}

// stateOf reads R, S, T (stopped), Z … where there is a /proc.
func stateOf(pid int) (byte, bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	return stat[bytes.LastIndexByte(stat, ')')+2], true
}

func TestOutputAndExitStatusAreKept(t *testing.T) {
	t.Parallel()
	var output bytes.Buffer
	p := shell(t, "echo one; echo two >&2; printf three; exit 3", &output)
	<-p.Done()
	require.Equal(t, "one\ntwo\nthree", output.String())
	require.Equal(t, []string{"one", "two", "three"}, p.Tail())
	var exit *exec.ExitError
	require.ErrorAs(t, p.Err(), &exit)
	require.Equal(t, 3, exit.ExitCode())
	require.ErrorIs(t, p.Signal(syscall.SIGTERM), os.ErrProcessDone)
}

func TestTailKeepsTheLastLinesOnly(t *testing.T) {
	t.Parallel()
	p := shell(t, "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i; done", nil)
	<-p.Done()
	require.Len(t, p.Tail(), 20)
	require.Equal(t, "100", p.Tail()[19])
}

func TestStopLetsTheProgramEndInOrder(t *testing.T) {
	t.Parallel()
	p := shell(t, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done", nil)
	await(t, "script is up", func() bool { return len(p.Tail()) > 0 })
	require.NoError(t, p.Stop(t.Context()))
	require.NoError(t, p.Err())
	require.Equal(t, []string{"up", "bye"}, p.Tail())
}

func TestStopKillsWhatDoesNotListen(t *testing.T) {
	t.Parallel()
	p := shell(t, "trap '' TERM; echo up; while :; do sleep 0.01; done", nil)
	await(t, "script is up", func() bool { return len(p.Tail()) > 0 })
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("waited 50ms"))
	defer cancel()
	require.EqualError(t, p.Stop(ctx), "script did not stop on terminated and was killed: waited 50ms")
	require.False(t, alive(p.Pid()))
}

func TestFreezeAndKillReachDescendantsInOtherGroups(t *testing.T) {
	t.Parallel()
	if _, ok := stateOf(os.Getpid()); !ok {
		t.Skip("process states are read from /proc")
	}
	p := shell(t, "setsid sleep 600 & echo $!; wait", nil)
	await(t, "child was started", func() bool { return len(p.Tail()) > 0 })
	child, err := strconv.Atoi(p.Tail()[0])
	require.NoError(t, err)

	inState := func(pid int, want string) func() bool {
		return func() bool { s, _ := stateOf(pid); return strings.ContainsRune(want, rune(s)) }
	}
	p.Freeze()
	await(t, "parent is stopped", inState(p.Pid(), "T"))
	await(t, "child is stopped", inState(child, "T"))
	p.Thaw()
	await(t, "child goes on", inState(child, "SR"))
	p.Kill()
	await(t, "child is gone", func() bool { return !alive(child) })
}

// The parent is killed with SIGKILL, so nothing it could do itself helps.
func TestChildDiesWithItsParent(t *testing.T) {
	t.Parallel()
	if _, ok := stateOf(os.Getpid()); !ok {
		t.Skip("only Linux tells a child that its parent died")
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "WAYBILL_TEST_PARENT=1")
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	child, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	require.True(t, alive(child))

	require.NoError(t, parent.Process.Kill())
	_ = parent.Wait()
	await(t, "child is gone", func() bool { return !alive(child) })
}

func TestStartNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := process.Start(process.Command{Name: "ghost", Path: "/no/such/program"})
	require.ErrorContains(t, err, "start ghost: ")
	require.ErrorIs(t, err, os.ErrNotExist)
}
