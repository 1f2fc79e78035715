package main

import (
	"strings"
	"testing"
)

func finding(module, function string) string {
	return `{"osv":{"id":"GO-1","summary":"a hole"}}{"finding":{"osv":"GO-1","fixed_version":"v1.2.4","trace":[{"module":"` + module + `","version":"v1.2.3","function":"` + function + `"}]}}`
}

func TestRun_AModuleFailsAndTheLibraryIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in      string
		strict  bool
		fails   bool
		mention string
	}{
		"a module that is called":     {in: finding("example.com/m", "F"), fails: true, mention: "GO-1 in example.com/m v1.2.3, fixed in 1.2.4: a hole"},
		"a module that is not called": {in: finding("example.com/m", ""), mention: "no known vulnerability"},
		"the library":                 {in: finding("stdlib", "F"), mention: "GO-1 in Go 1.2.3"},
		"the library, for a release":  {in: finding("stdlib", "F"), strict: true, fails: true, mention: "GO-1 in Go 1.2.3"},
		"nothing":                     {in: `{"config":{}}`, mention: "no known vulnerability"},
		"govulncheck could not begin": {in: "", fails: true},
		"govulncheck was interrupted": {in: `{"config":`, fails: true},
	} {
		var out strings.Builder
		err := run(strings.NewReader(c.in), &out, c.strict)
		if (err != nil) != c.fails || !strings.Contains(out.String(), c.mention) {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
}
