package config

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// File is a secret in a file that may be replaced while the process runs: a password that is
// rotated. It is safe for concurrent use.
type File struct {
	path string

	mu   sync.Mutex
	read time.Time
	text string
	err  error
}

// fileAge is how old what [File.Text] returns may be.
const fileAge = time.Second

// FileOf returns the file that SETTING_FILE names in the environment; nil if it names none.
func FileOf(setting string) *File {
	path := os.Getenv(setting + "_FILE")
	if path == "" {
		return nil
	}
	return &File{path: path}
}

// Text returns what the file holds, as of a second ago at most, without line breaks at its end. Who
// replaces a file does it by rename, as Kubernetes does: one that is half written is read so.
func (f *File) Text() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.read) >= fileAge {
		f.read = now
		f.text, f.err = readFile(f.path)
	}
	return f.text, f.err
}

func readFile(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// Pairs returns the entries of a list of secrets, which commas or line breaks separate.
func Pairs(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' })
}
