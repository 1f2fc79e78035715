package process

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// dieWithParent has the kernel signal the child when we die, however we die.
func dieWithParent(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

// children returns the processes that pid has started and that still run. It
// reads every process's stat, because /proc/PID/task/TID/children is compiled
// into few kernels.
func children(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // ended meanwhile
		}
		if parentOf(stat) == pid {
			pids = append(pids, child)
		}
	}
	return pids
}

// parentOf reads the parent's pid from "pid (name) state ppid ...", where the
// name may hold spaces and parentheses of its own.
func parentOf(stat []byte) int {
	_, rest, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte{' '})
	fields := bytes.Fields(rest)
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return 0
	}
	return parent
}

// Program returns the path of the program that a process of this machine was
// started as, or "" when there is none of that id.
func Program(pid int) string {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil {
		return ""
	}
	path, _, _ := bytes.Cut(raw, []byte{0}) // the path may have spaces in it
	return string(path)
}
