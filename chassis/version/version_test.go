package version

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOf(t *testing.T) {
	t.Parallel()
	platform := runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	released := &debug.BuildInfo{Path: "waybill.example/orders", Main: debug.Module{Version: "v1.2.0"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "4fbf927c1a0ba902b74bf92f3577b34da6a3ce92"}, {Key: "vcs.time", Value: "2026-11-26T09:20:46Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	for name, c := range map[string]struct {
		build   *debug.BuildInfo
		stamped string
		want    string
	}{
		"a tag":                   {released, "", "v1.2.0 4fbf927c1a0b " + platform},
		"stamped":                 {&debug.BuildInfo{}, "v1.3.0", "v1.3.0 " + platform},
		"nothing is known":        {nil, "", "(devel) " + platform},
		"a test or a `go run` of": {&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "", "(devel) " + platform},
	} {
		require.Equal(t, c.want, of(c.build, c.stamped).String(), name)
	}
	require.Equal(t, "orders", of(released, "").Command)
	require.True(t, of(released, "").Modified)
}
