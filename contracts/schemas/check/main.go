// Command check says whether the JSON Schemas of the messages still accept what the schemas of the
// baseline accepted: whether a consumer of today reads the messages of the last release. It prints
// what would break, and exits with 1.
//
//	go run ./contracts/schemas/check contracts/schemas/baseline contracts/schemas
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: check BASELINE SCHEMAS")
		os.Exit(2)
	}
	broken, err := run(os.Stdout, os.DirFS(os.Args[1]), os.DirFS(os.Args[2]))
	if err != nil {
		fmt.Fprintln(os.Stderr, "check schemas:", err)
		os.Exit(2)
	}
	if broken {
		os.Exit(1)
	}
}

// run compares each schema of the baseline with that of today.
func run(out io.Writer, baseline, schemas fs.FS) (broken bool, err error) {
	names, err := fs.Glob(baseline, "*.json")
	if err != nil {
		return false, err
	}
	if len(names) == 0 {
		return false, errors.New("there are no schemas in the baseline")
	}
	for _, name := range names {
		was, err := read(baseline, name)
		if err != nil {
			return false, err
		}
		is, err := read(schemas, name)
		if errors.Is(err, fs.ErrNotExist) {
			broken = true
			fmt.Fprintf(out, "%s: the schema is gone, and its messages are on the topics\n", name)
			continue
		}
		if err != nil {
			return false, err
		}
		for _, what := range breaks(was, is, "") {
			broken = true
			fmt.Fprintf(out, "%s: %s\n", filepath.Base(name), what)
		}
	}
	return broken, nil
}

func read(from fs.FS, name string) (schema any, err error) {
	text, err := fs.ReadFile(from, name)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return schema, nil
}
