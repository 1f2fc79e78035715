package compose_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// build compiles the commands as the image does, into a folder of the test.
func build(t *testing.T, packages ...string) string {
	t.Helper()
	folder := t.TempDir()
	compile := exec.CommandContext(t.Context(), "go", append([]string{"build", "-o", folder + "/"}, packages...)...)
	compile.Dir = ".."
	output, err := compile.CombinedOutput()
	require.NoError(t, err, string(output))
	return folder
}

// The health checks of compose.yaml are run as they stand there, with what a service may answer.
func TestTheHealthChecksAreCommandsOfTheImagesThemselves(t *testing.T) {
	t.Parallel()
	bin := build(t, "./orders", "./inventory", "./orchestrator", "./outbox-relay")
	project := load(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // it accepts, and says nothing
	require.NoError(t, err)
	t.Cleanup(func() { silent.Close() })
	for name := range services {
		test := project.Services[name].HealthCheck.Test
		require.Equal(t, []string{"CMD", name, "healthcheck"}, []string(test))
		for want, answer := range map[string]struct {
			addr, line string
		}{
			"healthy":   {answering(t, http.StatusOK, `{"status":"ready","checks":{"database":"ok"}}`), "/readyz answered 200"},
			"unhealthy": {answering(t, http.StatusServiceUnavailable, `{"checks":{"broker":"ok","database":"is\nnot there"}}`), `/readyz answered 503: database: is\nnot there`},
			"gone":      {"127.0.0.1:1", "does not answer"},
			"silent":    {silent.Addr().String(), "does not answer"},
		} {
			t.Run(name+"/"+want, func(t *testing.T) {
				t.Parallel()
				_, port, err := net.SplitHostPort(answer.addr)
				require.NoError(t, err)
				args := test[2:]
				if want != "silent" { // its answer is awaited, however busy the machine is
					args = append(slices.Clone(args), "--timeout=1m")
				}
				check := exec.CommandContext(t.Context(), filepath.Join(bin, test[1]), args...)
				// As in compose.yaml it listens on all addresses, and serves some hosts only.
				check.Env = append(os.Environ(), "HTTP_ADDR=0.0.0.0:"+port, "HTTP_HOSTS=orders", "HTTP_PROXY=http://127.0.0.1:1")
				output, err := check.CombinedOutput()
				require.Equal(t, want == "healthy", err == nil, string(output))
				require.Contains(t, string(output), answer.line)
				require.Equal(t, 1, bytes.Count(output, []byte("\n")), string(output))
			})
		}
	}
}

// answering is a server that knows /readyz, and localhost.
func answering(t *testing.T, status int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" || r.Host != "localhost" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestTheImagesHaveNothingToSendRequestsWith(t *testing.T) {
	t.Parallel()
	for name, s := range dockerfile(t) {
		if name != "build" {
			require.NotContains(t, strings.Join(s.fields(), " "), "curl", name)
		}
	}
	for name, s := range load(t).Services {
		if s.Build != nil {
			require.NotContains(t, strings.Join(append(s.Command, s.Entrypoint...), " "), "curl", name)
		}
	}
}
