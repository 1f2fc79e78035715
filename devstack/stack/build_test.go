package stack

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// Without C the compiler names what the Kafka client's package lacks, name by name, and not why.
func TestBuild_SaysThatACompilerIsMissing(t *testing.T) {
	empty := t.TempDir() // in which nothing can be built
	t.Setenv("CGO_ENABLED", "0")
	_, err := Build(t.Context(), empty, io.Discard)
	require.Equal(t, errNoCompiler, err)
	t.Setenv("CGO_ENABLED", "1")
	_, err = Build(t.Context(), empty, io.Discard)
	require.ErrorContains(t, err, "go build")
}
