package e2e_test

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/version"
	"waybill.example/devstack/stack"
)

// Who reports a bug, or asks whether a fix is deployed, names a version.
func TestVersion_EveryCommandSaysWhatWasBuilt(t *testing.T) {
	t.Parallel()
	bin, err := build()
	require.NoError(t, err)
	for _, name := range []string{"orders", "inventory", "orchestrator", "outbox-relay", "waybill", "migrate", "devstack"} {
		said, err := exec.CommandContext(t.Context(), filepath.Join(bin, name), "--version").Output()
		require.NoError(t, err, name)
		require.Regexp(t, `^`+name+` \S+( [0-9a-f]{12})? go1\.\S+ \w+/\w+\n$`, string(said))
	}
}

// The commands that are not built here say it as well: each has a main that knows its version.
func TestVersion_NoCommandIsWithoutOne(t *testing.T) {
	t.Parallel()
	ofTheBuild := regexp.MustCompile(`/(generate|notices|schemas/check)/`)
	says := regexp.MustCompile(`service\.(Main|Command)\(|stack\.Main\(|version\.Get\(`)
	require.NoError(t, filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.Contains(path, "/examples/") || strings.Contains(path, "/tools/") {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(text), "\nfunc main() {") && !strings.Contains(string(text), "//go:build ignore") {
			require.True(t, says.Match(text) || ofTheBuild.MatchString(path), "%s has no --version", path)
		}
		return err
	}))
}

// version: each service says the same at /version.
func (s *system) version(t *testing.T) {
	for _, service := range []string{stack.Orders, stack.Inventory, stack.Orchestrator, stack.Relay} {
		status, answer, _ := call(t, http.MethodGet, s.url(t, service, "/version"), "")
		require.Equal(t, http.StatusOK, status)
		var about version.Info
		require.NoError(t, json.Unmarshal([]byte(answer), &about))
		require.NotEmpty(t, about.Version)
		require.Equal(t, service, about.Command)
	}
}
