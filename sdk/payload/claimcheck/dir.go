package claimcheck

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"
	"time"
)

// Dir is a [BlobStore] in a directory, such as one of a file system that senders and receivers
// share.
type Dir struct{ root *os.Root }

// unfinished is how files begin that are being written.
const unfinished = ".new-"

// OpenDir returns a store in a directory, which is made if it does not exist.
func OpenDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("blob store: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("blob store: %w", err)
	}
	return &Dir{root}, nil
}

// Close releases the directory.
func (d *Dir) Close() error { return d.root.Close() }

// Put implements [BlobStore]. A blob appears whole, or not at all.
func (d *Dir) Put(_ context.Context, name string, data []byte) (err error) {
	dir := path.Dir(name)
	if err := d.root.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temporary := path.Join(dir, unfinished+rand.Text())
	if err := d.write(temporary, data); err != nil {
		_ = d.root.Remove(temporary)
		return err
	}
	if err := d.root.Rename(temporary, name); err != nil {
		return err
	}
	// The names have to survive a crash, too: of the file, and of the directories in front of it.
	for ; ; dir = path.Dir(dir) {
		if err := d.sync(dir); err != nil || dir == "." {
			return err
		}
	}
}

func (d *Dir) write(name string, data []byte) error {
	f, err := d.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func (d *Dir) sync(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Get implements [BlobStore].
func (d *Dir) Get(_ context.Context, name string, limit int64) ([]byte, error) {
	f, err := d.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return readAtMost(f, limit)
}

func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	var all bytes.Buffer
	n, err := all.ReadFrom(io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		err = ErrTooLarge
	}
	return all.Bytes(), err
}

// Old implements [BlobStore]. What a process left behind that died while it wrote is among them.
func (d *Dir) Old(ctx context.Context, before time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := fs.WalkDir(d.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil || entry.IsDir() {
				return ignoreMissing(err)
			}
			info, err := entry.Info()
			if err != nil {
				return ignoreMissing(err)
			}
			if info.ModTime().Before(before) && !yield(name, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield("", err)
		}
	}
}

// ignoreMissing is for what another process removes at the same time.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Delete implements [BlobStore], and removes the directory of the blob's message when it is empty.
func (d *Dir) Delete(_ context.Context, name string) error {
	if err := ignoreMissing(d.root.Remove(name)); err != nil {
		return err
	}
	if dir := path.Dir(name); strings.Contains(dir, "/") {
		_ = d.root.Remove(dir) // it may not be empty
	}
	return nil
}
