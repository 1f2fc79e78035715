package relay_test

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

	"waybill.example/outbox-relay/internal/relay"
	"waybill.example/outbox-relay/internal/source"
)

// pgBouncer runs a PgBouncer of this test's own in front of its database, as it comes but for the mode, and returns the URL
// that leads through it.
func (s *stage) pgBouncer(t *testing.T, mode string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		t.Skip("there is no pgbouncer on the PATH: apt-get install pgbouncer")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())
	behind, err := pgx.ParseConfig(s.db.URL)
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
	through, err := url.Parse(s.db.URL)
	require.NoError(t, err)
	through.Host = fmt.Sprintf("127.0.0.1:%d", port)
	await(t, func() bool {
		conn, err := pgx.Connect(t.Context(), through.String())
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err == nil
	}, "pgbouncer to answer")
	return through.String()
}

func TestRelay_WorksThroughPgBouncerInSessionMode(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.relayThrough(t, s.pgBouncer(t, "session"), relay.Options{})
	await(t, func() bool { return r.Status().State == relay.Leading }, "the relay to lead")
	await(t, func() bool { return one[bool](t, s, sleepsSQL) }, "the relay to sleep")
	s.insertMany(t, 5, 100)
	requireCounted(t, s.values(t, 500), 5, 100)
	s.settled(t)
}

// In transaction mode the lock by which a relay leads stays in a session that others are given.
func TestRelay_RefusesPgBouncerInTransactionMode(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.relayThrough(t, s.pgBouncer(t, "transaction"), relay.Options{})
	await(t, func() bool { return r.Status().Err != nil }, "an error")
	require.ErrorIs(t, r.Status().Err, source.ErrTransactionPooler)
	require.ErrorContains(t, r.Status().Err, "session mode")
	s.insertMany(t, 1, 1)
	<-time.After(grace)
	require.Zero(t, one[int64](t, s, `select epoch from outbox_cursor`), "nobody leads")
}

func TestRelay_FindsTheHostOfSeveralThatAnswers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	several, err := url.Parse(s.db.URL)
	require.NoError(t, err)
	several.Host = "127.0.0.1:1," + several.Host
	r := s.relayThrough(t, several.String(), relay.Options{})
	await(t, func() bool { return r.Status().State == relay.Leading }, "the relay to lead")
	s.insertMany(t, 1, 3)
	s.settled(t)
}
