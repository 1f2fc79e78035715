package compose_test

import (
	"os"
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
