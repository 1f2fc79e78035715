package drill

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const canLimitFiles = true

// limitFiles keeps a process and its descendants from writing beyond so many bytes of any file; 0
// lifts the limit.
func limitFiles(pid int, size uint64) error {
	if err := limit(pid, size); err != nil {
		return err
	}
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return err
	}
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for child := range strings.FieldsSeq(string(children)) {
			n, err := strconv.Atoi(child)
			if err != nil {
				return fmt.Errorf("read %s: %w", list, err)
			}
			if err := limitFiles(n, size); err != nil {
				return err
			}
		}
	}
	return nil
}

// limit sets the soft limit of one process, which the owner of the process may do: Postgres does
// not run as root, and prlimit(2) does not let a container's root at other users' processes.
func limit(pid int, size uint64) error {
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has ended
	}
	if err != nil {
		return err
	}
	soft := strconv.FormatUint(size, 10)
	if size == 0 {
		soft = "unlimited"
	}
	cmd := exec.Command("prlimit", "--pid", strconv.Itoa(pid), "--fsize="+soft+":")
	if owner := info.Sys().(*syscall.Stat_t); int(owner.Uid) != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	out, err := cmd.CombinedOutput()
	if _, gone := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil && gone == nil {
		return fmt.Errorf("limit the files of process %d: %w: %s", pid, err, bytes.TrimSpace(out))
	}
	return nil
}
