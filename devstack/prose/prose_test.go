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
	walk(t, workspace, skipped, func(name string, text []byte) {
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

func walk(t *testing.T, workspace string, skipped func(name string) bool, check func(name string, text []byte)) {
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

// skipped says what is not read.
func skipped(name string) bool {
	generated := strings.HasSuffix(name, ".pb.go")
	return generated || slices.ContainsFunc(history, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

var (
	link      = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	namedTest = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`")
	aTest     = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

func TestPages_LinksLeadToFilesThatExist(t *testing.T) {
	t.Parallel()
	links := 0
	for page, text := range pages(t, "*.md", "*/*.md", "docs/*/*.md", "examples/*/*.md") {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
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

// A page that says where a promise is tested must not name a test that was renamed. Decisions are
// history, and are not held to it.
func TestPages_NameTestsThatExist(t *testing.T) {
	t.Parallel()
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	exists, named := map[string]bool{}, 0
	walk(t, workspace, func(string) bool { return false }, func(name string, text []byte) {
		if strings.HasSuffix(name, "_test.go") {
			for _, match := range aTest.FindAllSubmatch(text, -1) {
				exists[string(match[1])] = true
			}
		}
	})
	for page, text := range pages(t, "*.md", "*/*.md", "examples/*/*.md") {
		if filepath.Base(page) == "CHANGELOG.md" {
			continue
		}
		for _, match := range namedTest.FindAllStringSubmatch(text, -1) {
			named++
			if !exists[match[1]] {
				t.Errorf("%s names %s, which does not exist", page, match[1])
			}
		}
	}
	require.Greater(t, named, 20)
}

// pages returns the pages of the repository that patterns name, by path.
func pages(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	found := map[string]string{}
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(workspace, pattern))
		require.NoError(t, err)
		for _, page := range paths {
			text, err := os.ReadFile(page)
			require.NoError(t, err)
			found[page] = string(text)
		}
	}
	return found
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
