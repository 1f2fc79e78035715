//go:build !linux

package process

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// dieWithParent does nothing: only Linux tells a child that its parent died.
// Elsewhere a parent that is killed with SIGKILL leaves its children behind.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}

// children returns the processes that pid has started and that still run.
func children(pid int) []int {
	out, err := exec.Command("pgrep", "-P", strconv.Itoa(pid)).Output()
	if err != nil {
		return nil // none, or no pgrep
	}
	var pids []int
	for field := range strings.FieldsSeq(string(out)) {
		if child, err := strconv.Atoi(field); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// Program returns the path of the program that a process of this machine was
// started as, or "" when there is none of that id.
func Program(pid int) string {
	out, err := exec.Command("ps", "-o", "comm=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
