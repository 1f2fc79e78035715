package stack

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"sync"
)

// Console is where a stack shows its steps and, between them, what its
// processes write, each line under the name of its process.
type Console struct {
	mu     sync.Mutex
	to     io.Writer
	colour bool
}

// NewConsole returns a console on a writer. With colour each process' name has
// one of its own.
func NewConsole(to io.Writer, colour bool) *Console { return &Console{to: to, colour: colour} }

// Say writes a line of the stack's own.
func (c *Console) Say(format string, args ...any) {
	c.line("devstack", fmt.Sprintf(format, args...))
}

// colours are ANSI foreground colours that can be read on dark and on light.
var colours = []int{31, 32, 33, 34, 35, 36, 91, 92, 94, 95, 96}

func (c *Console) line(name, text string) {
	prefix := fmt.Sprintf("%-12s |", name)
	if c.colour {
		hash := fnv.New32a()
		hash.Write([]byte(name))
		prefix = fmt.Sprintf("\x1b[%dm%s\x1b[0m", colours[int(hash.Sum32())%len(colours)], prefix)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.to, "%s %s\n", prefix, text)
}

// writer returns what shows the output of one process.
func (c *Console) writer(name string) io.Writer { return &lineWriter{console: c, name: name} }

// Write lets progress be reported to a console as to any writer.
func (c *Console) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		c.Say("%s", bytes.TrimRight(line, "\n"))
	}
	return len(p), nil
}

// lineWriter passes on whole lines; a process may write half of one.
type lineWriter struct {
	console *Console
	name    string
	partial []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.partial = append(w.partial, p...)
	for {
		line, rest, found := bytes.Cut(w.partial, []byte{'\n'})
		if !found {
			return len(p), nil
		}
		w.console.line(w.name, string(line))
		w.partial = append(w.partial[:0], rest...)
	}
}
