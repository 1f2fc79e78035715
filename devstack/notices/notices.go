// Command notices writes THIRD_PARTY_NOTICES.md: what is linked into the commands of a release or
// shipped in them, and its licences, which have to go along with it.
//
//	make notices
//
// Modules have no version there, so that an update changes nothing unless the licence does.
package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// commands are what is released.
var commands = []string{"./orders", "./inventory", "./orchestrator", "./outbox-relay", "./waybill", "./migrations/cmd/migrate"}

// vendored is what is shipped and is no Go module, below the root of the source tree.
var vendored = []string{
	"orchestrator/console/assets/htmx", "orchestrator/console/assets/idiomorph", "orchestrator/console/assets/uplot",
}

// librdkafka is linked into the commands from the module of its Go client, with libraries of its
// own.
const librdkafka = "github.com/confluentinc/confluent-kafka-go/v2"

// allowed are the licences (SPDX) that a release may have in it: they ask for a notice, and for
// nothing of who uses Waybill.
var allowed = []string{
	"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "Zlib",
}

func main() {
	if err := write(context.Background(), os.Stdout, "."); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

// part is something that is linked or shipped.
type part struct {
	name     string
	licences []string // SPDX
	texts    []string
}

func write(ctx context.Context, to io.Writer, root string) error {
	parts, err := collect(ctx, root)
	if err != nil {
		return err
	}
	fmt.Fprint(to, "# Third-party notices\n\nWhat is linked into Waybill's commands or shipped in them. "+
		"Written by `make notices`; a test holds that it is current.\n\n| part | licence |\n| --- | --- |\n")
	texts := map[string][]string{}
	var order []string
	for _, p := range parts {
		fmt.Fprintf(to, "| %s | %s |\n", p.name, strings.Join(p.licences, ", "))
		for _, text := range p.texts {
			if texts[text] == nil {
				order = append(order, text)
			}
			if !slices.Contains(texts[text], p.name) {
				texts[text] = append(texts[text], p.name)
			}
		}
	}
	for _, text := range order {
		fmt.Fprintf(to, "\n## %s\n\n```\n%s\n```\n", strings.Join(texts[text], ", "), text)
	}
	return nil
}

func collect(ctx context.Context, root string) (parts []part, err error) {
	linked, err := modules(ctx, root)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(linked)) {
		p, err := read(name, linked[name])
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
		if name == librdkafka {
			p, err := read("librdkafka, and what is linked into it", filepath.Join(linked[name], "kafka", "librdkafka_vendor"))
			if err != nil {
				return nil, err
			}
			parts = append(parts, p)
		}
	}
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("find Go: %w", err)
	}
	p, err := read("Go's runtime and standard library", strings.TrimSpace(string(goroot)))
	if err != nil {
		return nil, err
	}
	parts = append(parts, p)
	for _, folder := range vendored {
		p, err := read(filepath.Base(folder), filepath.Join(root, folder))
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// modules are the folders of the modules that are linked.
func modules(ctx context.Context, root string) (map[string]string, error) {
	found := map[string]string{}
	list := exec.CommandContext(ctx, "go", append([]string{
		"list", "-deps", "-f", `{{with .Module}}{{if not .Main}}{{.Path}}{{"\t"}}{{.Dir}}{{end}}{{end}}`,
	}, commands...)...)
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list what is linked: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if name, folder, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && !strings.HasPrefix(name, "waybill.example") {
			found[name] = folder
		}
	}
	return found, nil
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]es?|copying|notice)([-.](md|txt|rst|mit|bsd|apache.*))?$`)

// read takes the licences of one part from the files in its folder.
func read(name, folder string) (part, error) {
	p := part{name: name}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return part{}, fmt.Errorf("read the licence of %s: %w", name, err)
	}
	for _, entry := range slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() || !licenceFile.MatchString(e.Name()) }) {
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return part{}, fmt.Errorf("read the licence of %s: %w", name, err)
		}
		p.texts = append(p.texts, tidy(string(text)))
		for _, match := range licensecheck.Scan(text).Match {
			if !match.IsURL && !slices.Contains(p.licences, match.ID) {
				p.licences = append(p.licences, match.ID)
			}
		}
	}
	if len(p.licences) == 0 {
		return part{}, fmt.Errorf("%s: no licence was found in %s", name, folder)
	}
	slices.Sort(p.licences)
	return p, nil
}

// tidy has texts that differ in white space at the ends of their lines be one.
func tidy(text string) string {
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(text, "```", "'''")) {
		lines = append(lines, strings.TrimRight(line, " \t\r\n\f"))
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}
