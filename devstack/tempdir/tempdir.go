// Package tempdir makes directories that do not outlive the process that made them for long: what a
// killed one has left is removed by the next that makes one of the same kind.
package tempdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// inUse is a file in each directory that its process holds a lock on. The lock goes with the
// process, however that ends.
const inUse = "in-use"

// Make makes an empty directory for temporary files, named for its kind, which everybody may look
// into: a database server may run as another user. It returns what removes it, with all that is in
// it. First it removes those of the same kind whose processes were killed, or ended without
// removing them.
func Make(kind string) (dir string, remove func() error, err error) {
	prefix := "waybill-" + kind + "-"
	if err := removeLeftovers(prefix); err != nil {
		return "", nil, err
	}
	for {
		dir, err := os.MkdirTemp("", prefix)
		if err != nil {
			return "", nil, fmt.Errorf("make a temporary directory (TMPDIR says where): %w", err)
		}
		lock, err := use(dir)
		if errors.Is(err, errTaken) {
			continue // another took it for a leftover, before it was locked
		}
		if err != nil {
			return "", nil, errors.Join(fmt.Errorf("make a temporary directory: %w", err), os.RemoveAll(dir))
		}
		return dir, func() error { return errors.Join(os.RemoveAll(dir), lock.Close()) }, nil
	}
}

var errTaken = errors.New("another process has it")

// use locks a directory, which has to be there still.
func use(dir string) (*os.File, error) {
	path := filepath.Join(dir, inUse)
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errTaken
	}
	if err != nil {
		return nil, err
	}
	err = tryLock(lock)
	if err == nil {
		_, err = os.Stat(path)
	}
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
		err = errTaken
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

func tryLock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// removeLeftovers removes what nobody holds. What it may not remove is another user's.
func removeLeftovers(prefix string) error {
	locks, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*", inUse))
	if err != nil {
		return fmt.Errorf("look for temporary directories: %w", err)
	}
	for _, path := range locks {
		lock, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue // it is gone, or another user's
		}
		if tryLock(lock) == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
		_ = lock.Close()
	}
	return nil
}
