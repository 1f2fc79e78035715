package inbox_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The guide's code is that of the test, so it compiles, and runs.
func TestTheGuideOfConsumersShowsCodeThatRuns(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/consumers.md")
	require.NoError(t, err)
	code, err := os.ReadFile("franzgo_test.go")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(guide), -1)
	require.Len(t, blocks, 2)
	for _, b := range blocks {
		require.Contains(t, squeezed(string(code)), squeezed(b[1]), "this code of docs/consumers.md is not that of franzgo_test.go")
	}
}

func squeezed(s string) string { return strings.Join(strings.Fields(s), " ") }
