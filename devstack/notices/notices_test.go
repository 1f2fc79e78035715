package main

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

func TestNotices_AreCurrent(t *testing.T) {
	t.Parallel()
	var now bytes.Buffer
	require.NoError(t, write(t.Context(), &now, root))
	committed, err := os.ReadFile(root + "/THIRD_PARTY_NOTICES.md")
	require.NoError(t, err)
	require.True(t, bytes.Equal(now.Bytes(), committed), "what is linked has changed, or its licences: commit what `make notices` writes")
}

// A licence that asks more than a notice of who uses Waybill is a decision, and not an accident of
// a dependency's dependency.
func TestNotices_NothingAsksMoreThanANotice(t *testing.T) {
	t.Parallel()
	parts, err := collect(t.Context(), root)
	require.NoError(t, err)
	require.Greater(t, len(parts), 40)
	for _, p := range parts {
		for _, licence := range p.licences {
			require.True(t, slices.Contains(allowed, licence), "%s is under %s", p.name, licence)
		}
	}
}
