package console

import (
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxWeight is what all JavaScript and CSS weigh, gzipped, in bytes: a third of the lightest
// console that we know of.
const maxWeight = 100_000

func TestAssets_AreLight(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	require.NoError(t, fs.WalkDir(assets, "assets", func(path string, _ fs.DirEntry, err error) error {
		if ext := filepath.Ext(path); err != nil || ext != ".js" && ext != ".css" {
			return err
		}
		content, err := fs.ReadFile(assets, path)
		require.NoError(t, err)
		before := packed.Len()
		z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression) // each is sent by itself
		require.NoError(t, err)
		_, err = z.Write(content)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		t.Logf("%6d bytes %s", packed.Len()-before, path)
		return nil
	}))
	t.Logf("%6d bytes in all", packed.Len())
	require.Less(t, packed.Len(), maxWeight)
}

// What npm packages are here, their licences are too.
func TestAssets_HaveTheirLicences(t *testing.T) {
	t.Parallel()
	table, err := fs.ReadFile(assets, "assets/README.md")
	require.NoError(t, err)
	packages, err := filepath.Glob("assets/*")
	require.NoError(t, err)
	require.NotEmpty(t, packages)
	for _, dir := range packages {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue
		}
		require.FileExists(t, filepath.Join(dir, "LICENSE"))
		require.Contains(t, string(table), "`"+filepath.Base(dir)+"/", "assets/README.md says what it is and which version")
	}
}

// The Content-Security-Policy forbids these, and a browser would pass over them in silence.
var forbidden = regexp.MustCompile(`(?i)\sstyle=|\son[a-z]+="|<style|<script>|\shx-on|javascript:|https?://[^ ]*\.(js|css)`)

func TestTemplates_HaveNoInlineScriptOrStyle(t *testing.T) {
	t.Parallel()
	pages := 0
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".html" {
			return err
		}
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		for n, line := range strings.Split(string(content), "\n") {
			require.NotRegexp(t, forbidden, line, "%s:%d", path, n+1)
		}
		pages++
		return nil
	}))
	require.Positive(t, pages)
}
