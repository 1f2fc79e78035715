package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"waybill.example/devstack/postgres"
)

// dirPrefix begins the name of each server's directory; our pid follows, so
// that what a killed test binary left behind can be recognised and removed.
const dirPrefix = "waybill-pgtest-"

var removeLeftovers = sync.OnceFunc(func() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	for _, dir := range dirs {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		pid, err := strconv.Atoi(owner)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
})

func startPrivate(ctx context.Context) (*postgres.Server, error) {
	removeLeftovers()
	dir := filepath.Join(os.TempDir(), dirPrefix+strconv.Itoa(os.Getpid())+"-"+rand.Text()[:8])
	// Open to the user that the server runs as, unlike os.MkdirTemp's.
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the test server's directory: %w", err)
	}
	server, err := postgres.Start(ctx, postgres.Config{Dir: dir, Disposable: true, Progress: os.Stderr})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return server, nil
}

// discard ends a server for good. There is nothing in it to be kept.
func discard(server *postgres.Server) error {
	server.Kill()
	return server.Remove()
}
