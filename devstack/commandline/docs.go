package commandline

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Line is a command in a page.
type Line struct {
	Where string // page:line
	Text  string // as a shell takes it
}

// ours begins a command of this project.
var ours = regexp.MustCompile(`^(bin/)?(outbox-relay|orchestrator|waybill|inventory (stock|seed)|migrate|devstack|make|go run \./(devstack|drills)\b)( |$)`)

var (
	inline       = regexp.MustCompile("`([^`]+)`")
	comment      = regexp.MustCompile(`\s+#.*$|\s{3,}.*$`)
	optional     = regexp.MustCompile(`\[([^\]]*)\]`)
	alternatives = regexp.MustCompile(`\S+\|\S+`)
	assignment   = regexp.MustCompile(`^([A-Z_]+=\S*\s+)+`)
	either       = regexp.MustCompile(`\S+ \| (--\S+)`)
)

// placeholders is what a reader fills in.
var placeholders = strings.NewReplacer(
	"SET…", "outbox orders", "URL", "postgres://nobody@"+nobody+"/orders", "-d …", "-d orders", "ID", "1", "run NAME", "run kafka-down",
	"<revision>", "HEAD", "…", "x",
)

// mentions speak of a command without proposing it: it needs arguments.
var mentions = []string{"orchestrator saga", "outbox-relay replay", "orchestrator saga force", "outbox-relay stuck", "outbox-relay topic create", "waybill saga", "inventory stock", "waybill stock", "waybill audit-log", "waybill relay", "waybill dlq show", "outbox-relay show", "migrate up", "migrate up …", "migrate grants"}

// Docs returns the commands of README, CONTRIBUTING, docs/ and the README of waybill.
func Docs(workspace string) ([]Line, error) {
	pages, err := filepath.Glob(filepath.Join(workspace, "docs", "*.md"))
	if err != nil {
		return nil, err
	}
	guides, err := filepath.Glob(filepath.Join(workspace, "docs", "guides", "*.md"))
	if err != nil {
		return nil, err
	}
	pages = append(append(pages, guides...), filepath.Join(workspace, "README.md"), filepath.Join(workspace, "CONTRIBUTING.md"), filepath.Join(workspace, "waybill", "README.md"))
	var lines []Line
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			return nil, fmt.Errorf("read a page: %w", err)
		}
		name, _ := filepath.Rel(workspace, page)
		lines = append(lines, in(name, string(text))...)
	}
	return lines, nil
}

// in returns the commands of a page: lines of code, and code within a line.
func in(page, text string) (lines []Line) {
	fenced, diagram := false, false
	for n, line := range strings.Split(text, "\n") {
		where := fmt.Sprintf("%s:%d", page, n+1)
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			diagram = fenced && strings.HasSuffix(line, "mermaid")
			continue
		}
		var found []string
		if diagram {
			continue
		}
		if fenced || strings.HasPrefix(line, "    ") {
			code := comment.ReplaceAllString(strings.TrimPrefix(strings.TrimSpace(line), "$ "), "")
			found = strings.Split(code, "; ")
		} else {
			for _, match := range inline.FindAllStringSubmatch(line, -1) {
				found = append(found, match[1])
			}
		}
		for _, code := range found {
			code = assignment.ReplaceAllString(strings.TrimSpace(code), "")
			if ours.MatchString(code) && strings.Contains(code, " ") && !strings.Contains(code, "──") && !slices.Contains(mentions, code) {
				for _, one := range concrete(code) {
					lines = append(lines, Line{where, one})
				}
			}
		}
	}
	return lines
}

// concrete puts something in the place of what a reader is to fill in, and makes a line of each
// alternative.
func concrete(code string) []string {
	code = optional.ReplaceAllString(strings.TrimPrefix(code, "bin/"), "$1")
	code = placeholders.Replace(code)
	if m := either.FindStringSubmatchIndex(code); m != nil {
		before := code[:m[0]]
		first, _, _ := strings.Cut(code[m[0]:m[1]], " | ")
		return []string{before + first + code[m[1]:], before + code[m[2]:]}
	}
	choice := alternatives.FindString(code)
	if choice == "" || strings.ContainsAny(choice, `"'`) {
		return []string{code}
	}
	var all []string
	for one := range strings.SplitSeq(choice, "|") {
		all = append(all, strings.Replace(code, choice, one, 1))
	}
	return all
}
