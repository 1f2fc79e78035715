package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// DefaultDir is where a stack keeps its state, relative to the workspace.
const DefaultDir = ".waybill"

// State is what stack.json in a stack's directory says of it. Drills and
// scripts read it.
type State struct {
	Processes []Process         `json:"processes"`
	Databases map[string]string `json:"databases"` // name to connection URL
	// Token is an operator's, for every service that the environment has no tokens for.
	Token string `json:"token,omitzero"`
}

// Process is one process of a stack.
type Process struct {
	Name string `json:"name"`
	// Pid is left out while the process does not run, and for a server that
	// is not the stack's own. (Zero would invite kill(2) to end its caller.)
	Pid  int    `json:"pid,omitzero"`
	Addr string `json:"addr"`
	GRPC string `json:"grpc,omitzero"` // where it serves gRPC; of Inventory only
	Log  string `json:"log,omitzero"`
}

// ErrNoStack says that no stack has run in a directory.
var ErrNoStack = errors.New("no stack has been started here")

// Read returns the state of the stack in a directory, as it was last written.
func Read(dir string) (State, error) {
	raw, err := os.ReadFile(stateFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, fmt.Errorf("%w: %s has no stack.json", ErrNoStack, dir)
	}
	if err != nil {
		return State{}, fmt.Errorf("read the stack's state: %w", err)
	}
	var s State
	if err := json.Unmarshal(raw, &s); err != nil {
		return State{}, fmt.Errorf("read the stack's state: %s: %w", stateFile(dir), err)
	}
	return s, nil
}

// Process returns the process of a name.
func (s State) Process(name string) (Process, bool) {
	for _, p := range s.Processes {
		if p.Name == name {
			return p, true
		}
	}
	return Process{}, false
}

// write replaces stack.json as a whole, so that no reader sees half of it.
func (s State) write(dir string) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write the stack's state: %w", err)
	}
	return replace(stateFile(dir), append(raw, '\n'))
}

// replace writes a file as a whole. It is for nobody else to read: what a stack
// writes holds a password.
func replace(path string, content []byte) error {
	unfinished := path + ".new"
	if err := os.WriteFile(unfinished, content, 0o600); err != nil {
		return fmt.Errorf("write the stack's state: %w", err)
	}
	if err := os.Rename(unfinished, path); err != nil {
		return fmt.Errorf("write the stack's state: %w", err)
	}
	return nil
}

func stateFile(dir string) string { return filepath.Join(dir, "stack.json") }
