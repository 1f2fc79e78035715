package upgrade_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

var (
	needs    = regexp.MustCompile(`(?s)// SchemaVersion is the version of the migration set "(\w+)"[^\n]*\n(?://[^\n]*\n)*const SchemaVersion = (\d+)`)
	demands  = regexp.MustCompile(`Schema\{Set: "(\w+)", Version: (\w+)\.SchemaVersion\}`)
	imported = regexp.MustCompile(`(?m)^\s+(\w+ )?"(waybill\.example/[^"]+)"$`)
)

// A service that starts on a schema which one of its packages cannot work with is ready and fails
// later, at whatever comes first. So each demands, at its start, the newest version that any
// package in it needs.
func TestServices_DemandTheSchemaThatTheirPackagesNeed(t *testing.T) {
	t.Parallel()
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	for service, file := range map[string]string{
		"orders": "orders/internal/app/app.go", "inventory": "inventory/internal/app/app.go", "orchestrator": "orchestrator/app/app.go",
	} {
		needed, versions := map[string]int{}, map[string]int{}
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{.ImportPath}} {{.Dir}}", "./"+service)
		list.Dir = workspace
		out, err := list.Output()
		require.NoError(t, err)
		for line := range strings.Lines(string(out)) {
			path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
			if !strings.HasPrefix(path, "waybill.example/") {
				continue
			}
			if set, version := schemaOf(t, dir); set != "" {
				needed[set], versions[path] = max(needed[set], version), version
			}
		}
		require.NotEmpty(t, needed, service)
		text, err := os.ReadFile(filepath.Join(workspace, file))
		require.NoError(t, err)
		demanded := map[string]int{}
		for _, m := range demands.FindAllStringSubmatch(string(text), -1) {
			demanded[m[1]] = max(demanded[m[1]], versions[resolve(string(text), m[2])])
		}
		require.Equal(t, needed, demanded, "%s: AwaitSchema in %s", service, file)
	}
}

// schemaOf returns what a package says that it needs.
func schemaOf(t *testing.T, dir string) (set string, version int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if m := needs.FindStringSubmatch(string(text)); m != nil {
			version, err := strconv.Atoi(m[2])
			require.NoError(t, err)
			return m[1], version
		}
	}
	return "", 0
}

// resolve returns the import path of a package by its name in a file.
func resolve(text, name string) string {
	for _, m := range imported.FindAllStringSubmatch(text, -1) {
		if strings.TrimSpace(m[1]) == name || m[1] == "" && strings.HasSuffix(m[2], "/"+name) {
			return m[2]
		}
	}
	return ""
}
