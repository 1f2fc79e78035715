// Package process runs the programs of a development stack as children that
// cannot outlive their parent.
//
// os/exec starts a program and waits for it; what a stack needs beside that is
// here: a process group of its own, so that Ctrl-C reaches the supervisor and
// not everybody at once; an ordered stop that ends in SIGKILL; the last lines
// that the program wrote, to say why it died; and, on Linux, a signal from the
// kernel to the child when the parent is killed.
package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// outputGrace is how long the output of an ended program is still read while
// some descendant of it holds the pipe open. The end of a postmaster's output
// means that its last backend is gone too, so a restart on the same data
// directory does not meet them.
const outputGrace = 10 * time.Second

// Command says what to run.
type Command struct {
	// Name is how messages call the process.
	Name string
	// Path is the program, Args what follows it, Env its whole environment
	// (nil: ours), Dir where it runs ("": here).
	Path string
	Args []string
	Env  []string
	Dir  string
	// User runs the program as somebody else; nil is ourselves. Only root may.
	User *syscall.Credential
	// Output gets what the program writes to stdout and stderr; nil drops it.
	Output io.Writer
	// StopSignal asks for an ordered end. Zero is SIGTERM.
	StopSignal syscall.Signal
	// OrphanSignal is what the kernel sends the program when we are killed, on Linux. Zero is
	// StopSignal.
	OrphanSignal syscall.Signal
}

// Process is a program that was started. Its methods may be called from any
// goroutine.
type Process struct {
	name       string
	pid        int
	stopSignal syscall.Signal
	tail       *tail
	done       chan struct{}
	err        error // written before done is closed
}

// Start runs the command. The program has the process group of its own pid.
func Start(c Command) (*Process, error) {
	p := &Process{
		name:       c.Name,
		stopSignal: cmp.Or(c.StopSignal, syscall.SIGTERM),
		tail:       new(tail),
		done:       make(chan struct{}),
	}
	var output io.Writer = p.tail
	if c.Output != nil {
		output = io.MultiWriter(p.tail, c.Output)
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = c.Env
	cmd.Dir = c.Dir
	cmd.Stdout = output
	cmd.Stderr = output
	cmd.WaitDelay = outputGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.User}
	dieWithParent(cmd.SysProcAttr, cmp.Or(c.OrphanSignal, p.stopSignal))

	started := make(chan error)
	go p.run(cmd, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	return p, nil
}

// run starts and waits on one locked thread. "Parent" in PR_SET_PDEATHSIG
// means the thread that forked: if the runtime were to end that thread while
// we live on (it does when a goroutine exits with its thread locked), the child
// would get the signal for nothing. So the thread is ours until the child is gone.
func (p *Process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	p.err = cmd.Wait()
	if errors.Is(p.err, exec.ErrWaitDelay) {
		p.err = nil // the program itself ended well
	}
	close(p.done)
}

// Name returns what the Command was called.
func (p *Process) Name() string { return p.name }

// Pid returns the process id, which is the id of its group as well.
func (p *Process) Pid() int { return p.pid }

// Done is closed when the program has ended and all that it wrote was read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the program ended: nil for exit status 0. Ask after Done.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Tail returns the last lines that the program wrote, oldest first.
func (p *Process) Tail() []string { return p.tail.lines() }

// Signal sends a signal to the program, not to its descendants.
func (p *Process) Signal(sig syscall.Signal) error {
	if p.ended() {
		return os.ErrProcessDone
	}
	if err := syscall.Kill(p.pid, sig); err != nil {
		return fmt.Errorf("signal %s to %s: %w", sig, p.name, err)
	}
	return nil
}

// Stop asks the program to end and waits for it. When ctx ends first the
// program is killed, and Stop says so with an error.
func (p *Process) Stop(ctx context.Context) error {
	if p.ended() {
		return nil
	}
	// A frozen program cannot hear; waking one that is awake does nothing.
	signalTree(p.pid, syscall.SIGCONT)
	_ = syscall.Kill(p.pid, p.stopSignal)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("%s did not stop on %s and was killed: %w", p.name, p.stopSignal, context.Cause(ctx))
	}
}

// Kill ends the program and its descendants with SIGKILL and waits until they
// are gone.
func (p *Process) Kill() {
	if !p.ended() {
		signalTree(p.pid, syscall.SIGKILL)
	}
	<-p.done
}

// Freeze stops the program and its descendants in their tracks (SIGSTOP).
func (p *Process) Freeze() { p.signalTree(syscall.SIGSTOP) }

// Thaw lets a frozen program go on (SIGCONT).
func (p *Process) Thaw() { p.signalTree(syscall.SIGCONT) }

func (p *Process) signalTree(sig syscall.Signal) {
	if !p.ended() {
		signalTree(p.pid, sig)
	}
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// signalTree signals a process and its descendants. They are looked up first: a
// killed process has none. A signal to the process group would not do, as each
// Postgres backend is the leader of a group of its own.
func signalTree(pid int, sig syscall.Signal) {
	for _, p := range slices.Concat([]int{pid}, descendants(pid)) {
		_ = syscall.Kill(p, sig) // gone meanwhile: as well
	}
}

func descendants(pid int) []int {
	pids := children(pid)
	for _, child := range pids {
		pids = append(pids, descendants(child)...)
	}
	return pids
}
