package stack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"waybill.example/devstack/postgres"
	"waybill.example/devstack/process"
)

// lockDir makes sure that one stack uses a directory. The lock goes with the
// process that holds it, however that ends.
func lockDir(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		err = fmt.Errorf("lock the state directory: %w", err)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("a stack runs in %s already: end it with Ctrl-C where it runs, or use another --dir", dir)
		}
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// endLeftovers ends the processes of a stack whose supervisor was killed. On
// Linux they are ending already, as it took them along; they may take a while.
func endLeftovers(dir string, console *Console) {
	state, err := Read(dir)
	if err != nil {
		return // nothing has run here
	}
	for _, p := range state.Processes {
		if p.Pid == 0 || !isOurs(p) {
			continue
		}
		console.Say("ending %s (process %d), which a stack that was killed has left behind", p.Name, p.Pid)
		_ = syscall.Kill(p.Pid, syscall.SIGCONT)
		_ = syscall.Kill(p.Pid, stopSignal(p.Name))
		for deadline := time.Now().Add(stopTime); isOurs(p); {
			if time.Now().After(deadline) {
				_ = syscall.Kill(p.Pid, syscall.SIGKILL)
			}
			<-time.After(50 * time.Millisecond)
		}
	}
}

func stopSignal(name string) syscall.Signal {
	switch {
	case unsharded(name) == Postgres, name == Standby:
		return syscall.SIGINT // on SIGTERM it waits for its clients
	case name != Broker && isOf(Broker, name):
		return syscall.SIGKILL // on SIGTERM it waits for the others
	}
	return syscall.SIGTERM
}

// isOurs reports whether a pid of an earlier run still is what it was then, and
// not a stranger that has got the number since.
func isOurs(p Process) bool {
	programs := []string{unsharded(p.Name)}
	switch {
	case isOf(Broker, p.Name):
		programs = []string{"devstack", "java"}
	case p.Name == Standby:
		programs = []string{Postgres}
	}
	return slices.Contains(programs, filepath.Base(process.Program(p.Pid)))
}

// wipe removes what earlier runs have left in the directory, but for the lock
// that we hold.
func wipe(dir string) error {
	clusters, err := shardServers(dir)
	if err != nil {
		return err
	}
	for _, cluster := range append(clusters, Postgres, Standby) {
		if err := postgres.Remove(filepath.Join(dir, cluster)); err != nil {
			return err
		}
	}
	for _, path := range []string{filepath.Join(dir, Broker), filepath.Join(dir, realKafka), stateFile(dir)} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove the data of the last run: %w", err)
		}
	}
	return nil
}
