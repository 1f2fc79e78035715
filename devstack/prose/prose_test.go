package prose

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

// unclean are the folders and files that have not been read yet. Take a line out when what it names
// is clean; nothing is ever added.
var unclean = []string{
	"chassis/admin/", "chassis/config/", "chassis/fault/", "chassis/httpserver/",
	"chassis/lifecycle/", "chassis/plaintext/", "chassis/service/", "chassis/shell/", "chassis/sweep/",
	"chassis/telemetry/", "chassis/terminal/",
	"devstack/", "docs/sagas.md", "drills/", "examples/", "inventory/", "migrations/",
	"orchestrator/", "orders/", "sdk/cloudevents/", "sdk/participant/", "sdk/saga/",
	"sdktest/participant/", "sdktest/saga/",
}

// history is left as it was written, and this package quotes.
var history = []string{"CHANGELOG.md", "docs/decisions/", "devstack/prose/"}

// read are the files with words in them.
var read = map[string]bool{
	".go": true, ".md": true, ".sql": true, ".yaml": true, ".yml": true, ".html": true, ".py": true, ".java": true, ".sh": true,
}

func TestProse_TheRepositoryUsesTheWordsOfTheField(t *testing.T) {
	t.Parallel()
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	found, files := 0, 0
	walk(t, workspace, func(name string, text []byte) {
		files++
		for _, f := range Check(name, text) {
			found++
			t.Error(f)
		}
	})
	require.NotZero(t, files)
	if found > 0 {
		t.Logf("%d places in all", found)
	}
}

func walk(t *testing.T, workspace string, check func(name string, text []byte)) {
	t.Helper()
	err := filepath.WalkDir(workspace, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(workspace, file)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if entry.IsDir() {
			name += "/"
			hidden := strings.HasPrefix(name, ".") && name != "./" && name != ".github/"
			if hidden || name == "bin/" || path.Base(name) == "testdata" || skipped(name) {
				return fs.SkipDir
			}
			return nil
		}
		if !read[path.Ext(name)] && name != "Makefile" && name != "Dockerfile" || skipped(name) {
			return nil
		}
		text, err := os.ReadFile(file)
		if err == nil {
			check(name, text)
		}
		return err
	})
	require.NoError(t, err)
}

// skipped leaves out what is unclean, but for what WAYBILL_PROSE=orders/ asks about.
func skipped(name string) bool {
	under := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	if slices.ContainsFunc(history, under) {
		return true
	}
	asked := os.Getenv("WAYBILL_PROSE")
	return slices.ContainsFunc(unclean, under) && (asked == "" || !under(asked) && !strings.HasPrefix(asked, name))
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)

func TestPages_LinksLeadToFilesThatExist(t *testing.T) {
	t.Parallel()
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	pages, err := filepath.Glob(filepath.Join(workspace, "docs", "*", "*.md"))
	require.NoError(t, err)
	for _, pattern := range []string{"*.md", "*/*.md", "examples/*/*.md"} {
		more, err := filepath.Glob(filepath.Join(workspace, pattern))
		require.NoError(t, err)
		pages = append(pages, more...)
	}
	links := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(match[1], ":") {
				continue // somewhere else
			}
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), match[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, match[1])
			}
		}
	}
	require.Greater(t, links, 50)
}

func TestCheck_FindsWhatTheListNames(t *testing.T) {
	t.Parallel()
	for text, words := range map[string]int{
		"// kept for ever, one row a message": 2, "// 11.4 µs a row": 1, "// it is told which": 1, "// Whoever mends it": 2,
		"// a database that is away": 1, "// forever, one row per message": 0, "// they are told apart, and told to stop": 0,
		"// 200 orders a second": 0, "// once a batch is durable": 0, "// far away": 0, "// a recommendation": 0,
	} {
		require.Len(t, Check("x.go", []byte("package x\n\n"+text+"\n")), words, text)
		require.Len(t, Check("x.md", []byte(text)), words, text)
	}
	code := "package x\n\nvar anew = `a\nb, mended` // whoever\n"
	require.Equal(t, []Finding{
		{"x.go:4", "mended", "write fix or repair"},
		{"x.go:4", "whoever", "write who it is: operators, a process, anyone who"},
	}, Check("x.go", []byte(code)), "names are the compiler's, texts and comments are ours")
}

func TestCheck_FindsCommentsThatAreTooWide(t *testing.T) {
	t.Parallel()
	wide := strings.Repeat("µ", MaxColumns-2)
	for comment, words := range map[string]int{
		"// " + wide[:2*(MaxColumns-3)]: 0, "// " + wide: 1, "\t// " + wide[:2*(MaxColumns-6)]: 1,
		"//go:embed " + wide: 0, "// https://example.com/" + wide: 0,
	} {
		require.Len(t, Check("x.go", []byte("package x\n\nfunc f() {\n"+comment+"\n}\n")), words, comment)
	}
}
