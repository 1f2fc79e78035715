package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// elsewhere has the clusters of directories that the server's user cannot reach, each beside a file
// that names the directory it stands for.
const elsewhere = places("/var/lib/waybill")

// Home returns where the cluster that is asked for in dir is really kept. That
// is dir, unless we are root and some directory above it (/root, mostly) is
// closed to the user that the server runs as; then it is a place under /var/lib
// of its own for each dir.
func Home(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("locate the data directory: %w", err)
	}
	as, err := serverUser()
	if err != nil {
		return "", err
	}
	if as == nil || reachable(dir, as) {
		return dir, nil
	}
	return elsewhere.place(dir), nil
}

// claim is [Home] for who is going to write there. A place elsewhere lasts as long as the directory
// it stands for, which is made for that; here the others are removed.
func claim(dir string) (home string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("locate the data directory: %w", err)
	}
	home, err = Home(dir)
	switch {
	case err != nil:
		return "", err
	case home != dir:
		err = elsewhere.claim(dir)
	case os.Getuid() == 0:
		err = elsewhere.tidy()
	}
	return home, err
}

// Remove deletes the cluster of a directory, wherever it is kept; see [Home]. No server may be
// running on it.
func Remove(dir string) error {
	home, err := Home(dir)
	if err != nil {
		return err
	}
	return remove(home)
}

func remove(home string) error {
	err := os.RemoveAll(home)
	if filepath.Dir(home) == string(elsewhere) {
		err = errors.Join(err, os.RemoveAll(home+noteSuffix))
	}
	if err != nil {
		return fmt.Errorf("remove the data directory: %w", err)
	}
	return nil
}

// places is a directory with clusters in the place of others.
type places string

const noteSuffix = ".for"

func (p places) place(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(string(p), hex.EncodeToString(sum[:6]))
}

// claim notes that a place stands for dir.
func (p places) claim(dir string) error {
	if err := os.MkdirAll(string(p), 0o755); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	return p.locked(func() error {
		return errors.Join(p.sweep(), os.MkdirAll(dir, 0o755), os.WriteFile(p.place(dir)+noteSuffix, []byte(dir), 0o600))
	})
}

// tidy removes what nobody uses any more.
func (p places) tidy() error {
	if _, err := os.Stat(string(p)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return p.locked(p.sweep)
}

// locked keeps others from removing what we have just begun to use.
func (p places) locked(do func() error) error {
	lock, err := os.OpenFile(filepath.Join(string(p), "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock the data directories: %w", err)
	}
	defer func() { _ = lock.Close() }() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock the data directories: %w", err)
	}
	if err := do(); err != nil {
		return fmt.Errorf("look after the data directories in %s: %w", p, err)
	}
	return nil
}

// sweep removes the places whose directories no longer exist, unless a server runs in them.
func (p places) sweep() error {
	notes, err := filepath.Glob(filepath.Join(string(p), "*"+noteSuffix))
	if err != nil {
		return err
	}
	for _, note := range notes {
		dir, err := os.ReadFile(note)
		if err != nil {
			return err
		}
		home := strings.TrimSuffix(note, noteSuffix)
		if _, err := os.Stat(string(dir)); !errors.Is(err, fs.ErrNotExist) || served(home) {
			continue
		}
		if err := errors.Join(os.RemoveAll(home), os.Remove(note)); err != nil {
			return err
		}
	}
	return nil
}

// served reports whether a server may be running on a cluster: its pid is some process'.
func served(home string) bool {
	content, err := os.ReadFile(filepath.Join(home, "data", "postmaster.pid"))
	if err != nil {
		return false
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(first)
	return err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
