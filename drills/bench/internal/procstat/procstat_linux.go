package procstat

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Supported says that this system tells.
const Supported = true

// tick is the unit of /proc's times: USER_HZ, which is 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// Self returns the usage of this process alone, without its children.
func Self() Usage {
	own, err := stat(os.Getpid())
	if err != nil {
		return Usage{} // there is no /proc; Read says so
	}
	return own
}

// Read returns the usage of a process and of the children that its first thread has.
func Read(pid int) (Usage, error) {
	own, err := stat(pid)
	if err != nil {
		return Usage{}, fmt.Errorf("read the usage of process %d: %w", pid, err)
	}
	total := Usage{CPU: own.CPU, Memory: own.Memory}
	for _, child := range children(pid) {
		if u, err := Read(child); err == nil { // it may have ended meanwhile: then the parent has its time
			total.CPU += u.CPU
		}
	}
	return total, nil
}

// Switches returns how often the threads of a process and of its children have been taken off a
// processor so far, by their own doing or not. Those of a thread that has ended are not in it.
func Switches(pid int) int64 {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	var total int64
	for _, path := range threads {
		text, _ := os.ReadFile(path) // a thread that has ended meanwhile counts nothing
		for line := range bytes.Lines(text) {
			if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.HasSuffix(name, []byte("ctxt_switches")) {
				n, _ := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
				total += n
			}
		}
	}
	for _, child := range children(pid) {
		total += Switches(child)
	}
	return total
}

func stat(pid int) (Usage, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	// The name, in parentheses, may hold anything; field 3 follows it. See proc(5).
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	field := func(n int) int64 {
		value, _ := strconv.ParseInt(string(fields[n-3]), 10, 64)
		return value
	}
	const utime, stime, cutime, cstime, rss = 14, 15, 16, 17, 24
	return Usage{
		CPU:    time.Duration(field(utime)+field(stime)+field(cutime)+field(cstime)) * tick,
		Memory: field(rss) * int64(os.Getpagesize()),
	}, nil
}

// children are those that the process's first thread forked, as Postgres' are. To look through all
// threads of every process took more of the processor than the rest of a sample.
func children(pid int) []int {
	var pids []int
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for word := range bytes.FieldsSeq(text) {
		if child, err := strconv.Atoi(string(word)); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}
