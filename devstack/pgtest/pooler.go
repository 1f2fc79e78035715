package pgtest

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/loopback"
)

// PgBouncer runs a PgBouncer in front of the database until the test ends, with the defaults but
// for the pool mode (session, transaction or statement), and returns the URL that leads through it.
// The test is skipped where there is no pgbouncer.
func (d *Database) PgBouncer(t *testing.T, mode string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		t.Skip("no pgbouncer on the PATH: apt-get install pgbouncer")
	}
	port, err := loopback.FreePort()
	require.NoError(t, err)
	behind, err := pgx.ParseConfig(d.URL)
	require.NoError(t, err)
	ini := filepath.Join(t.TempDir(), "pgbouncer.ini")
	require.NoError(t, os.WriteFile(ini, fmt.Appendf(nil, `[databases]
* = host=%s port=%d user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = %s
`, behind.Host, behind.Port, behind.User, behind.Password, port, mode), 0o644))
	args := []string{ini}
	if os.Geteuid() == 0 {
		args = []string{"--user", "nobody", ini} // it refuses to be root
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	through, err := url.Parse(d.URL)
	require.NoError(t, err)
	through.Host = loopback.Addr(port)
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), through.String())
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err == nil
	}, time.Minute, 10*time.Millisecond, "pgbouncer does not answer")
	return through.String()
}
