package prose

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

// A page that neither the site's navigation nor llms.txt has is one that nobody finds.
func TestSite_HasEveryPage(t *testing.T) {
	t.Parallel()
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	nav, err := os.ReadFile(filepath.Join(workspace, "mkdocs.yml"))
	require.NoError(t, err)
	llms, err := os.ReadFile(filepath.Join(workspace, "docs", "llms.txt"))
	require.NoError(t, err)
	index, err := os.ReadFile(filepath.Join(workspace, "docs", "README.md"))
	require.NoError(t, err)
	for page := range pages(t, "docs/*.md", "docs/guides/*.md") {
		name, err := filepath.Rel(filepath.Join(workspace, "docs"), page)
		require.NoError(t, err)
		require.Contains(t, string(nav), name, "mkdocs.yml")
		require.Contains(t, string(llms), "("+name+")", "docs/llms.txt")
		if name != "README.md" {
			require.Contains(t, string(index), "("+name+")", "docs/README.md")
		}
	}
	for _, match := range regexp.MustCompile(`\]\(([^):]+)\)`).FindAllStringSubmatch(string(llms), -1) {
		require.FileExists(t, filepath.Join(workspace, "docs", match[1]))
	}
}

var (
	anchored = regexp.MustCompile(`\]\(([^)#\s:]*)#([^)\s]+)\)`)
	heading  = regexp.MustCompile(`^#{1,6} +(.*)$`)
)

func TestPages_AnchorsLeadToHeadings(t *testing.T) {
	t.Parallel()
	all := pages(t, "*.md", "*/*.md", "docs/*/*.md", "examples/*/*.md")
	links := 0
	for page, text := range all {
		for _, match := range anchored.FindAllStringSubmatch(text, -1) {
			target := page
			if match[1] != "" {
				target = filepath.Join(filepath.Dir(page), match[1])
			}
			if filepath.Ext(target) != ".md" {
				continue
			}
			links++
			headings, ok := all[target]
			if ok && !anchors(headings)[match[2]] {
				t.Errorf("%s links to #%s of %s, which has no such heading", page, match[2], filepath.Base(target))
			}
		}
	}
	require.Greater(t, links, 50)
}

// anchors returns those of a page's headings, as GitHub makes them; lines of code are no headings.
func anchors(text string) map[string]bool {
	found, code := map[string]bool{}, false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
		}
		match := heading.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if code || match == nil {
			continue
		}
		plain := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(match[1], "$1")
		found[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, plain)] = true
	}
	return found
}
