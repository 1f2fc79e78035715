// Package version says what was built: for --version of every command, for /version and the metric
// waybill_build_info of every service, for the first line of each log and for traces. It imports
// nothing, so that any command can.
//
// Go writes the version, the commit and the time into what it builds from a checkout, or from the
// module proxy. What is built from an archive, where there is no repository, can be stamped:
//
//	go build -ldflags "-X waybill.example/chassis/version.stamped=v1.2.0" ./orders
package version

import (
	"path"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// stamped is set by the linker, see above.
var stamped string

// Info is what is known of a build. Empty fields are not known.
type Info struct {
	Command  string `json:"command" doc:"What it is" example:"orders"`
	Version  string `json:"version" doc:"A tag, or for other builds a pseudo-version with the commit, and +dirty where files were changed" example:"v1.2.0"`
	Commit   string `json:"commit,omitempty" doc:"The commit it was built from" example:"4fbf927c1a0ba902b74bf92f3577b34da6a3ce92"`
	Time     string `json:"time,omitempty" doc:"When that was committed" example:"2026-11-26T09:20:46Z"`
	Modified bool   `json:"modified" doc:"Whether files were changed since"`
	Go       string `json:"go" doc:"What compiled it" example:"go1.26.7"`
	Platform string `json:"platform" doc:"What it was built for" example:"linux/amd64"`
}

// Get returns what the running program was built from.
var Get = sync.OnceValue(func() Info {
	build, _ := debug.ReadBuildInfo()
	return of(build, stamped)
})

// unknown is the version of a build that nothing is known of, as Go calls it.
const unknown = "(devel)"

func of(build *debug.BuildInfo, stamped string) Info {
	i := Info{Version: unknown, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if build != nil {
		i.Command = path.Base(build.Path)
		for _, s := range build.Settings {
			switch s.Key {
			case "vcs.revision":
				i.Commit = s.Value
			case "vcs.time":
				i.Time = s.Value
			case "vcs.modified":
				i.Modified = s.Value == "true"
			}
		}
		if build.Main.Version != "" {
			i.Version = build.Main.Version
		}
	}
	if stamped != "" {
		i.Version = stamped
	}
	return i
}

// String is one line: v1.2.0 4fbf927c1a0b go1.26.7 linux/amd64.
func (i Info) String() string {
	words := []string{i.Version}
	if i.Commit != "" {
		words = append(words, i.Commit[:min(len(i.Commit), 12)])
	}
	return strings.Join(append(words, i.Go, i.Platform), " ")
}
