package compose_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A stage is one FROM of the Dockerfile with what follows it.
type stage struct {
	name, from string
	local      bool // from is another stage, not an image
	lines      []string
}

func (s stage) fields() []string { return strings.Fields(strings.Join(s.lines, "\n")) }

type stages map[string]stage

// user is whom a container of the target runs as.
func (all stages) user(target string) string {
	for {
		s, ok := all[target]
		if !ok {
			return ""
		}
		for _, line := range s.lines {
			if user, ok := strings.CutPrefix(line, "USER "); ok {
				return user
			}
		}
		target = s.from
	}
}

// dockerfile reads the stages of the Dockerfile.
func dockerfile(t *testing.T) stages {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	require.NoError(t, err)
	all := stages{}
	var current string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if from, ok := strings.CutPrefix(line, "FROM "); ok {
			from = strings.TrimPrefix(from, "--platform=$BUILDPLATFORM ")
			image, name, named := strings.Cut(from, " AS ")
			require.True(t, named, "a stage without a name: %s", line)
			_, local := all[image]
			all[name] = stage{name: name, from: image, local: local}
			current = name
		} else if s, ok := all[current]; ok {
			s.lines = append(s.lines, line)
			all[current] = s
		}
	}
	require.NotEmpty(t, all)
	return all
}

var (
	envTag    = regexp.MustCompile(`\b(?:env:|os\.Getenv\()"([A-Z0-9_]+)`)
	envPrefix = regexp.MustCompile(`\benvPrefix:"([A-Z0-9_]+)`)
)

// variables are the environment variables that the code in the folders names.
func variables(t *testing.T, folders ...string) []string {
	t.Helper()
	var names, prefixes []string
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join("..", folder), func(file string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
				return err
			}
			source, err := os.ReadFile(file)
			for _, tag := range envTag.FindAllStringSubmatch(string(source), -1) {
				names = append(names, tag[1])
			}
			for _, tag := range envPrefix.FindAllStringSubmatch(string(source), -1) {
				prefixes = append(prefixes, tag[1])
			}
			return err
		})
		require.NoError(t, err)
	}
	for _, name := range names {
		for _, prefix := range prefixes {
			names = append(names, prefix+name)
		}
	}
	return names
}
