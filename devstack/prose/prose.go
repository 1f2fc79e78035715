// Package prose finds the phrases of a private dialect in comments, texts and pages, and comments
// that do not fit beside another window. A reader who searches for the field's word must find us.
package prose

import (
	"fmt"
	"go/scanner"
	"go/token"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

// MaxColumns is the width of a comment line, a tab counting as four columns.
const MaxColumns = 100

// Finding is one place that should read otherwise.
type Finding struct {
	Where string // file:line
	Text  string // what stands there
	Write string // what to do about it
}

// String implements [fmt.Stringer].
func (f Finding) String() string { return fmt.Sprintf("%s: %q: %s", f.Where, f.Text, f.Write) }

type phrase struct {
	pattern *regexp.Regexp
	write   string
	// except are matches that are good English.
	except []string
}

// per is what "a" stands for in "one row a message".
const per = `an? (row|saga|message|database|transaction|batch|order|topic|key|partition|process|consumer|connection|core|request|commit|table|test|service)\b`

// What there is so much of per something. Where one of it stands without a number, it may be a
// verb.
const (
	units = `(µs|ms|ns|kB|MB|bytes|rows|messages|goroutines|commands|replies|sessions|connections|transactions|trips|entries|producers|statements)`
	unit  = `(row|message|goroutine|command|reply|session|connection|transaction|trip|entry|producer|statement|source|request|lock|commit)`
)

func words(pattern, write string, except ...string) phrase {
	return phrase{regexp.MustCompile(`(?i)\b(?:` + pattern + `)\b`), "write " + write, except}
}

var phrases = []phrase{
	words(`for ever`, "forever or indefinitely"),
	words(`mend(s|ed|ing)?`, "fix or repair"),
	words(`whoever`, "who it is: operators, a process, anyone who"),
	words(`(is|are|was|were|be|been|being) taken for`, "is considered"),
	words(`anew`, "again"),
	words(`nor trust`, "and do not want to trust"),
	words(`(is|are|was|were|be|been) away( from)?`, "is unavailable or is down", "is away from", "are away from"),
	words(`(keeps?|keeping) house|chores?`, "maintenance, a maintenance job"),
	words(`(is|are) at fault`, "is invalid or failed"),
	words(`(is|are|was|were|be|been|being) told( apart| to)?|tells? of`, "is notified, is passed, reports",
		"told apart", "told to"),
	words(`none of (its|this|that|our|their)[^.,]* business`, "not addressed to it"),
	words(`errors that time \w+`, "transient errors"),
	words(`(is|are|was|were|be) in trouble`, "which error it has"),
	words(`(there|is) twice`, "duplicate"),
	words(`waits? for (company|(its|their) neighbours)`, "lingers to fill batches"),
	words(`doubles nor reorders`, "idempotent, ordered"),
	words(`everything against everything`, "cross-checks everything"),
	words(`a hole is given up|ripe`, "a gap is closed, closable"),
	words(`others made up`, "malformed"),
	words(`(\d([\d,.]*\d)?|one|two|three) ?((`+units+`|`+unit+`) )?`+per, "per"),
	words(units+` `+per, "per"),
}

// dialect returns what is to be said otherwise in one line.
func dialect(where, line string) (found []Finding) {
	for _, p := range phrases {
		for _, match := range p.pattern.FindAllString(line, -1) {
			if !p.excepts(match) {
				found = append(found, Finding{where, match, p.write})
			}
		}
	}
	return found
}

func (p phrase) excepts(match string) bool {
	for _, good := range p.except {
		if strings.HasSuffix(strings.ToLower(match), good) {
			return true
		}
	}
	return false
}

// Check returns the findings of one file. In Go it reads comments and strings, elsewhere all.
func Check(name string, text []byte) []Finding {
	if path.Ext(name) == ".go" {
		return checkGo(name, text)
	}
	return checkLines(name, 1, string(text))
}

func checkLines(name string, first int, text string) (found []Finding) {
	for n, line := range strings.Split(text, "\n") {
		found = append(found, dialect(fmt.Sprintf("%s:%d", name, first+n), line)...)
	}
	return found
}

func checkGo(name string, text []byte) (found []Finding) {
	file := token.NewFileSet().AddFile(name, -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, scanner.ScanComments)
	for {
		pos, kind, literal := s.Scan()
		switch kind {
		case token.EOF:
			return found
		case token.STRING:
			found = append(found, checkLines(name, file.Line(pos), literal)...)
		case token.COMMENT:
			line := file.Line(pos)
			found = append(found, checkLines(name, line, literal)...)
			before := text[file.Offset(file.LineStart(line)):file.Offset(pos)]
			found = append(found, checkWidth(fmt.Sprintf("%s:%d", name, line), string(before), literal)...)
		default:
		}
	}
}

// checkWidth looks at a comment that has its line to itself. One that is a link or a directive
// cannot be wrapped.
func checkWidth(where, before, comment string) []Finding {
	first, _, _ := strings.Cut(comment, "\n")
	if strings.TrimSpace(before) != "" || !strings.HasPrefix(first, "// ") || strings.Contains(first, "://") {
		return nil
	}
	columns := utf8.RuneCountInString(first) + 4*utf8.RuneCountInString(before)
	if columns <= MaxColumns {
		return nil
	}
	return []Finding{{where, first, fmt.Sprintf("wrap it: %d columns, and %d are enough", columns, MaxColumns)}}
}
