package saga_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The guide's code is that of the examples, so it compiles.
func TestTheGuideShowsCodeThatCompiles(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/sagas.md")
	require.NoError(t, err)
	var code strings.Builder
	for _, file := range []string{
		"example_test.go", "participant_example_test.go", "order_test.go", "../internal/app/consumer.go",
		"sagasim/example_test.go",
	} {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		code.WriteString(squeeze(string(content)))
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(guide), -1)
	require.NotEmpty(t, blocks)
	for _, b := range blocks {
		require.Contains(t, code.String(), squeeze(b[1]), "this code of docs/sagas.md is in no example")
	}
}

// squeeze makes indentation of no account.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") + " " }
