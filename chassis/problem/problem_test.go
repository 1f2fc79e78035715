package problem_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/problem"
)

func TestTypes_AreWellFormed(t *testing.T) {
	t.Parallel()
	seen, last := map[string]bool{}, ""
	for p := range problem.Types() {
		require.Regexp(t, `^[a-z]+(-[a-z]+)*$`, p.Slug)
		require.False(t, seen[p.Slug], p.Slug)
		require.Less(t, last, p.Slug)
		seen[p.Slug], last = true, p.Slug
		require.NotEmpty(t, http.StatusText(p.Status), p.Slug)
		require.GreaterOrEqual(t, p.Status, 400)
		for _, text := range []string{p.Title, p.Means, p.Remedy} {
			require.NotEmpty(t, text, p.Slug)
			require.Zero(t, strings.Count(text, "`")%2, p.Slug)
		}
		require.Same(t, p, problem.Find(p.Slug))
	}
	require.Nil(t, problem.Find("unknown"))
	require.Same(t, problem.NotFound, problem.OfStatus(http.StatusNotFound))
	require.Same(t, problem.Internal, problem.OfStatus(http.StatusBadGateway))
	require.Same(t, problem.InvalidRequest, problem.OfStatus(http.StatusTeapot))
}

// Every problem has its page in docs/problems, and no page is without a problem.
func TestTypes_HaveTheirPages(t *testing.T) {
	t.Parallel()
	const folder = "../../docs/problems"
	pages := map[string]string{"README.md": problem.Index()}
	for p := range problem.Types() {
		pages[p.Slug+".md"] = p.Markdown()
	}
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, files, len(pages), "run go generate ./chassis/problem")
	for name, want := range pages {
		have, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		require.Equal(t, want, string(have), "run go generate ./chassis/problem")
	}
}

func TestHTML_LoadsNothing(t *testing.T) {
	t.Parallel()
	for p := range problem.Types() {
		for _, outside := range []string{"http:", "https:", "//", "<script", "src="} {
			require.NotContains(t, p.HTML(), outside)
		}
		require.Contains(t, problem.IndexHTML(), p.URI())
	}
	require.Contains(t, problem.ValidationFailed.HTML(), "<code>body.quantity</code>")
}
