// Command generate writes the pages of docs/problems from the table of chassis/problem.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"waybill.example/chassis/problem"
)

func main() {
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write replaces the pages of a folder.
func write(folder string) error {
	old, err := filepath.Glob(filepath.Join(folder, "*.md"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil { //nolint:gosec // the folder is the argument
			return err
		}
	}
	pages := map[string]string{"README": problem.Index()}
	for t := range problem.Types() {
		pages[t.Slug] = t.Markdown()
	}
	for name, page := range pages {
		if err := os.WriteFile(filepath.Join(folder, name+".md"), []byte(page), 0o644); err != nil { //nolint:gosec // documentation is for everybody
			return err
		}
	}
	return nil
}
