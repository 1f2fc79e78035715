package examples_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
)

// The modules that are published, and the version by which their go.mod files name each other.
const (
	bigModule = "waybill.example"
	sdkModule = "waybill.example/sdk"
	published = "v0.1.0"
)

// Somebody outside of this repository gets the modules from a module proxy, and builds and runs the
// example against them: without go.work, without a replace.
func TestTrip_RunsOutsideOfTheTreeAgainstThePublishedModules(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it compiles four programs")
	}
	tree := tracked(t)
	proxy := t.TempDir()
	version := publish(t, proxy, tree)

	outside := t.TempDir()
	for name, content := range tree {
		if inside, ok := strings.CutPrefix(name, "examples/trip/"); ok {
			write(t, filepath.Join(outside, inside), content)
		}
	}
	stranger := goCommand{t, outside, []string{
		"GOWORK=off", "GOFLAGS=-mod=mod", "GOSUMDB=off", "GONOSUMDB=" + bigModule, "GOTOOLCHAIN=local",
		"GOPROXY=" + strings.Join([]string{fileURL(proxy), fileURL(goEnv(t, "GOMODCACHE"), "cache", "download"), goEnv(t, "GOPROXY")}, ","),
	}}
	stranger.run("mod", "edit", "-require="+bigModule+"@"+version, "-require="+sdkModule+"@"+version)
	out := stranger.run("run", "./cmd/demo")
	for _, line := range []string{
		"trip 1, a trip with a car: BOOKED", "trip 2, a trip without a car: BOOKED", "trip 3, a trip that cannot be paid: CANCELLED",
		"PaymentDeclined (insufficient funds)", "CarReturned",
	} {
		require.Contains(t, out, line)
	}
}

// tracked returns the files that git has, or would add, by their names with slashes.
func tracked(t *testing.T) map[string][]byte {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = ".."
	names, err := list.Output()
	require.NoError(t, err, "the tests need git, and a work tree")
	tree := map[string][]byte{}
	for name := range strings.SplitSeq(strings.Trim(string(names), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		require.NoError(t, err)
		tree[name] = content
	}
	return tree
}

// publish packs the modules as a module proxy does and puts them into a folder as it serves them.
// The version is made from the content, so that what is in the module cache under it is never
// something else.
func publish(t *testing.T, proxy string, tree map[string][]byte) (version string) {
	t.Helper()
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		_, _ = io.WriteString(sum, name+"\x00")
		_, _ = sum.Write(tree[name])
	}
	version = module.PseudoVersion("", "", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), hex.EncodeToString(sum.Sum(nil))[:12])
	// What the tags do when it is published: the version that go.mod asks for is there.
	tree["go.mod"] = bytes.ReplaceAll(tree["go.mod"], []byte(sdkModule+" "+published), []byte(sdkModule+" "+version))
	pack(t, proxy, sdkModule, version, tree, "sdk/")
	pack(t, proxy, bigModule, version, tree, "")
	t.Cleanup(func() { forget(t, version) })
	return version
}

// pack writes one module. The packer leaves out what belongs to modules in folders below.
func pack(t *testing.T, proxy, modulePath, version string, tree map[string][]byte, folder string) {
	t.Helper()
	var files []modzip.File
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		if inside, ok := strings.CutPrefix(name, folder); ok {
			files = append(files, file{inside, tree[name]})
		}
	}
	dir := filepath.Join(proxy, filepath.FromSlash(modulePath), "@v")
	var zip bytes.Buffer
	require.NoError(t, modzip.Create(&zip, module.Version{Path: modulePath, Version: version}, files))
	write(t, filepath.Join(dir, version+".zip"), zip.Bytes())
	write(t, filepath.Join(dir, version+".mod"), tree[folder+"go.mod"])
	write(t, filepath.Join(dir, version+".info"), []byte(`{"Version":"`+version+`","Time":"2026-01-01T00:00:00Z"}`))
	write(t, filepath.Join(dir, "list"), []byte(version+"\n"))
}

// file is one of a module.
type file struct {
	name    string
	content []byte
}

func (f file) Path() string                 { return f.name }
func (f file) Lstat() (fs.FileInfo, error)  { return f, nil }
func (f file) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(f.content)), nil }
func (f file) Name() string                 { return path.Base(f.name) }
func (f file) Size() int64                  { return int64(len(f.content)) }
func (f file) Mode() fs.FileMode            { return 0o644 }
func (f file) ModTime() time.Time           { return time.Time{} }
func (f file) IsDir() bool                  { return false }
func (f file) Sys() any                     { return nil }

// forget removes a version from the module cache, where it would stay for good.
func forget(t *testing.T, version string) {
	cache := goEnv(t, "GOMODCACHE")
	for _, modulePath := range []string{bigModule, sdkModule} {
		extracted := filepath.Join(cache, filepath.FromSlash(modulePath)+"@"+version)
		_ = filepath.WalkDir(extracted, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				return os.Chmod(name, 0o755) // it is removed
			}
			return err
		})
		require.NoError(t, os.RemoveAll(extracted))
		downloads, err := filepath.Glob(filepath.Join(cache, "cache", "download", filepath.FromSlash(modulePath), "@v", version+".*"))
		require.NoError(t, err)
		for _, name := range downloads {
			require.NoError(t, os.Remove(name))
		}
	}
}

// Who imports the sdk gets pgx, uuid and what those need; nothing of ours besides it, and nothing
// for tests.
func TestSDK_RequiresPgxAndUUIDOnly(t *testing.T) {
	t.Parallel()
	graph := goCommand{t, filepath.Join("..", "sdk"), []string{"GOWORK=off", "GOFLAGS=-mod=mod"}}.run("mod", "graph")
	needs := map[string][]string{}
	for line := range strings.Lines(graph) {
		from, to, _ := strings.Cut(strings.TrimSpace(line), " ")
		needs[name(from)] = append(needs[name(from)], name(to))
	}
	reached := map[string]bool{"go": true, "toolchain": true}
	for queue := []string{"github.com/jackc/pgx/v5", "github.com/google/uuid"}; len(queue) > 0; queue = queue[1:] {
		if !reached[queue[0]] {
			reached[queue[0]] = true
			queue = append(queue, needs[queue[0]]...)
		}
	}
	for _, required := range needs[sdkModule] {
		require.True(t, reached[required], "the sdk requires %s, which neither pgx nor uuid needs", required)
	}
	for module := range needs {
		require.True(t, module == sdkModule || !strings.HasPrefix(module, bigModule), module)
	}
}

// name is a module's path without its version.
func name(module string) string {
	path, _, _ := strings.Cut(module, "@")
	return path
}

// A replace has no effect in a module that is required by another: what works here would not work
// for others.
func TestModules_HaveNoReplace(t *testing.T) {
	t.Parallel()
	modules := 0
	for name, content := range tracked(t) {
		if path.Base(name) != "go.mod" {
			continue
		}
		modules++
		parsed, err := modfile.Parse(name, content, nil)
		require.NoError(t, err)
		require.Empty(t, parsed.Replace, name)
		require.Empty(t, parsed.Exclude, name)
	}
	require.GreaterOrEqual(t, modules, 4)
}

// `make module-path` rewrites everything, and what comes of it compiles.
func TestModulePath_RewritesTheTree(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it compiles packages under another path")
	}
	copied := t.TempDir()
	for name, content := range tracked(t) {
		write(t, filepath.Join(copied, filepath.FromSlash(name)), content)
	}
	for _, command := range [][]string{
		{"git", "init", "--quiet"},
		{"git", "add", "--all"},
		{"make", "module-path", "TO=github.com/you/waybill"},
	} {
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.Dir = copied
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%v: %s", command, out)
	}
	grep := exec.CommandContext(t.Context(), "git", "grep", "-l", `waybill\.example`, "--", ":!CHANGELOG.md", ":!docs/decisions")
	grep.Dir = copied
	left, _ := grep.Output() // status 1: there is none
	require.Empty(t, string(left), "files with the path of before")
	here := goCommand{t: t, dir: copied}
	require.Equal(t, "github.com/you/waybill/sdk\n", here.run("list", "-m", "github.com/you/waybill/sdk"))
	here.run("build", "./sdk/...", "./inventory/...")
}

// goCommand runs go in a folder, with settings of its own.
type goCommand struct {
	t   *testing.T
	dir string
	env []string
}

func (g goCommand) run(args ...string) string {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = g.dir, append(os.Environ(), g.env...), 10*time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(g.t, cmd.Run(), "go %v: %s%s", args, &stdout, &stderr)
	return stdout.String()
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output() //nolint:noctx // a moment, also after the test's context has ended
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

func fileURL(elements ...string) string {
	return "file://" + filepath.ToSlash(filepath.Join(elements...))
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, content, 0o644))
}
