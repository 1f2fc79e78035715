package postgres_test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/chassis/postgres"
	"waybill.example/devstack/pgtest"
)

// pgBouncer runs a PgBouncer of this test's own in front of a database, in session mode, and returns
// the URL that leads through it.
func pgBouncer(t *testing.T, db *pgtest.Database) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		t.Skip("there is no pgbouncer on the PATH: apt-get install pgbouncer")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())
	behind, err := pgx.ParseConfig(db.URL)
	require.NoError(t, err)
	ini := filepath.Join(t.TempDir(), "pgbouncer.ini")
	require.NoError(t, os.WriteFile(ini, fmt.Appendf(nil, `[databases]
* = host=%s port=%d user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = session
`, behind.Host, behind.Port, behind.User, behind.Password, port), 0o644))
	args := []string{ini}
	if os.Geteuid() == 0 {
		args = []string{"--user", "nobody", ini} // it refuses to be root
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	through, err := url.Parse(db.URL)
	require.NoError(t, err)
	through.Host = fmt.Sprintf("127.0.0.1:%d", port)
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), through.String())
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err == nil
	}, patience, 10*time.Millisecond)
	return through.String()
}

func TestOpen_SessionsAreTheSameThroughPgBouncer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	admin(t, db, "alter database %s set synchronous_commit = off")
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: config.Secret(pgBouncer(t, db))}, "test")
	require.NoError(t, err)
	defer pool.Close()
	for setting, want := range map[string]string{
		"synchronous_commit": "on", "statement_timeout": "20s", "lock_timeout": "2s",
		"idle_in_transaction_session_timeout": "8s", "enable_seqscan": "off", "application_name": "test",
	} {
		require.Equal(t, want, show(t, pool, setting), setting)
	}
	_, err = pool.Exec(postgres.Hasty(t.Context()), "select 1")
	require.NoError(t, err)
}
