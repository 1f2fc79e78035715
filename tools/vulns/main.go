// Command vulns reads what govulncheck writes as JSON, and decides. A vulnerability of a module
// that our code calls is a failure. One of Go's standard library is a matter of what one builds
// with: it is named with the version of Go that has it fixed, and fails with -strict, as for a
// release.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// message is one of govulncheck's; see golang.org/x/vuln/internal/govulncheck.
type message struct {
	OSV *struct {
		ID, Summary string
	}
	Finding *struct {
		OSV          string `json:"osv"`
		FixedVersion string `json:"fixed_version"`
		Trace        []struct{ Module, Version, Function string }
	}
}

// found is a vulnerability that our code reaches.
type found struct{ id, module, version, fixed string }

func main() {
	strict := flag.Bool("strict", false, "fail on Go's standard library as well")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *strict); err != nil {
		fmt.Fprintln(os.Stderr, "vulns:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, strict bool) error {
	summaries, reached, err := read(in)
	if err != nil {
		return err
	}
	modules, library := 0, 0
	for _, id := range slices.Sorted(maps.Keys(reached)) {
		f := reached[id]
		where := f.module + " " + f.version
		if f.module == "stdlib" {
			where = "Go " + strings.TrimPrefix(f.version, "v")
			library++
		} else {
			modules++
		}
		fmt.Fprintf(out, "%s in %s, fixed in %s: %s\n", id, where, strings.TrimPrefix(f.fixed, "v"), summaries[id])
	}
	switch {
	case modules > 0:
		return fmt.Errorf("%d vulnerabilities of modules are reached: update those", modules)
	case library > 0 && strict:
		return fmt.Errorf("%d vulnerabilities of the standard library are reached: build with a newer Go", library)
	case library > 0:
		fmt.Fprintf(out, "no vulnerability of a module is reached; %d of this Go's standard library are: build what you publish with a newer one\n", library)
	default:
		fmt.Fprintln(out, "no known vulnerability is reached")
	}
	return nil
}

// read returns what each vulnerability is, and those that our code reaches: whose trace ends in a
// function.
func read(in io.Reader) (summaries map[string]string, reached map[string]found, err error) {
	summaries, reached = map[string]string{}, map[string]found{}
	decoder := json.NewDecoder(in)
	any := false
	for {
		var m message
		switch err := decoder.Decode(&m); {
		case errors.Is(err, io.EOF) && any:
			return summaries, reached, nil
		case errors.Is(err, io.EOF):
			return nil, nil, errors.New("govulncheck wrote nothing")
		case err != nil:
			return nil, nil, fmt.Errorf("read what govulncheck writes: %w", err)
		}
		any = true
		if m.OSV != nil {
			summaries[m.OSV.ID] = m.OSV.Summary
		}
		if f := m.Finding; f != nil && len(f.Trace) > 0 && f.Trace[0].Function != "" {
			reached[f.OSV] = found{f.OSV, f.Trace[0].Module, f.Trace[0].Version, f.FixedVersion}
		}
	}
}
