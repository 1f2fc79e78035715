package e2e_test

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

var (
	measured = regexp.MustCompile(`(?m)^# TYPE (\S+) `)
	literal  = regexp.MustCompile(`"(waybill_[a-z_]+)"`)
	named    = regexp.MustCompile(`\b(?:waybill_|http_|pgxpool_|go_|process_)[a-z_]+\b`)
	ofSeries = regexp.MustCompile(`_(?:bucket|sum|count)$`)
)

// metrics: a dashboard or an alert about a metric that does not exist stays empty, and nobody
// notices. A metric with labels is exposed only once it has a value; then the code that has its
// name is proof enough.
func (s *system) metrics(t *testing.T) {
	known := map[string]bool{}
	for _, service := range []string{stack.Orders, stack.Inventory, stack.Orchestrator, stack.Relay} {
		status, page, _ := call(t, http.MethodGet, s.url(t, service, "/metrics"), "")
		require.Equal(t, http.StatusOK, status)
		for _, m := range measured.FindAllStringSubmatch(page, -1) {
			known[m[1]] = true
		}
	}
	root := "../.."
	for _, folder := range []string{"chassis", "orders", "inventory", "orchestrator", "outbox-relay", "drills"} {
		read(t, filepath.Join(root, folder), ".go", func(text string) {
			for _, m := range literal.FindAllStringSubmatch(text, -1) {
				known[m[1]] = true
			}
		})
	}
	looked := 0
	check := func(text string) {
		for _, name := range named.FindAllString(text, -1) {
			looked++
			require.True(t, known[name] || known[ofSeries.ReplaceAllString(name, "")], "there is no metric %s", name)
		}
	}
	read(t, filepath.Join(root, "deploy", "observability"), ".yaml", check)
	read(t, filepath.Join(root, "deploy", "observability"), ".json", check)
	require.Greater(t, looked, 80)
}

// read calls look with each file of a kind below a folder, tests excepted.
func read(t *testing.T, folder, kind string, look func(text string)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != kind || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil {
			look(string(text))
		}
		return err
	}))
}
