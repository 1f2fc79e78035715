package process

import (
	"bytes"
	"slices"
	"sync"
)

// tailLines is how many of the last lines of output are remembered: enough for
// a Go panic's first goroutine or a server's reason for not starting.
const tailLines = 20

// tail is a writer that remembers the last lines written to it.
type tail struct {
	mu      sync.Mutex
	ring    []string
	partial []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := p
	for {
		line, after, found := bytes.Cut(rest, []byte{'\n'})
		t.partial = append(t.partial, line...)
		if !found {
			return len(p), nil
		}
		t.ring = append(t.ring, string(t.partial))
		if len(t.ring) > tailLines {
			t.ring = slices.Delete(t.ring, 0, len(t.ring)-tailLines)
		}
		t.partial = t.partial[:0]
		rest = after
	}
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := slices.Clone(t.ring)
	if len(t.partial) > 0 {
		lines = append(lines, string(t.partial))
	}
	return lines
}
