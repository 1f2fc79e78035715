package postgres_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/devstack/loopback"
	"waybill.example/devstack/postgres"
	"waybill.example/devstack/process"
	"waybill.example/devstack/tempdir"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openDir is like t.TempDir, but open to the user that a server runs as.
func openDir(t *testing.T) string {
	t.Helper()
	dir, remove, err := tempdir.Make("postgres")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, remove()) })
	return dir
}

func start(t *testing.T, cfg postgres.Config) *postgres.Server {
	t.Helper()
	server, err := postgres.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(server.Kill)
	return server
}

func show(t *testing.T, url, setting string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), "select current_setting($1)", setting).Scan(&value))
	return value
}

func TestServerIsDurableAndReachableFromThisMachineOnly(t *testing.T) {
	t.Parallel()
	server := start(t, postgres.Config{Dir: openDir(t)})
	url := server.URL("postgres")
	require.Equal(t, "on", show(t, url, "fsync"))
	require.Equal(t, "on", show(t, url, "synchronous_commit"))
	require.Equal(t, "127.0.0.1", show(t, url, "listen_addresses"))
	require.Empty(t, show(t, url, "unix_socket_directories"))

	config, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	config.Password = "wrong"
	_, err = pgx.ConnectConfig(t.Context(), config)
	require.ErrorContains(t, err, "password authentication failed")
}

func TestPreparingAgainKeepsTheData(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	first := start(t, postgres.Config{Dir: dir, Disposable: true})
	conn, err := pgx.Connect(t.Context(), first.URL("postgres"))
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "create database kept")
	require.NoError(t, err)
	require.NoError(t, first.Stop())

	second := start(t, postgres.Config{Dir: dir, Disposable: true})
	require.Equal(t, "off", show(t, second.URL("kept"), "fsync"))
}

// A person who watches the log of a server that starts finds no line in it for each time that it
// was asked whether it is ready.
func TestStart_LeavesNoErrorsInTheServersLog(t *testing.T) {
	t.Parallel()
	log := new(process.Buffer)
	server := start(t, postgres.Config{Dir: openDir(t), Disposable: true, Output: log})
	conn := connected(t, server.URL("postgres"))
	execute(t, conn, "create table written as select g as id, repeat('x', 500) as text from generate_series(1, 200000) g") // to be recovered
	server.Kill()
	require.NoError(t, server.Start(t.Context()))
	require.Contains(t, log.String(), "redo done")
	require.NotContains(t, log.String(), "FATAL")
}

func TestInterruptedInitdbIsDoneAnew(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data.new", "base"), 0o700))
	start(t, postgres.Config{Dir: dir, Disposable: true})
}

func TestPortInUseIsReportedWithTheServersOwnWords(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", loopback.Addr(0))
	require.NoError(t, err)
	defer taken.Close()
	_, err = postgres.Start(t.Context(), postgres.Config{
		Dir: openDir(t), Port: taken.Addr().(*net.TCPAddr).Port, Disposable: true,
	})
	var notReady *process.NotReadyError
	require.ErrorAs(t, err, &notReady)
	require.ErrorContains(t, err, "postgres ended before it was ready: exit status 1; its last output:")
	require.ErrorContains(t, err, "could not bind IPv4 address")
}

func TestDataOfAnotherVersionIsNotTouched(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	data := filepath.Join(dir, "data")
	require.NoError(t, os.Mkdir(data, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("9\n"), 0o600))
	_, err := postgres.Prepare(t.Context(), postgres.Config{Dir: dir})
	require.ErrorContains(t, err, "is Postgres 9's, but the programs in")
	require.ErrorContains(t, err, "remove it to start again without data")
}

// Root's home is closed to the user that the server runs as.
func TestClosedDirectoryIsReplacedByOneThatTheServerCanReach(t *testing.T) {
	t.Parallel()
	closed := filepath.Join(t.TempDir(), "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	home, err := postgres.Home(filepath.Join(closed, "postgres"))
	require.NoError(t, err)
	if os.Getuid() != 0 {
		require.Equal(t, filepath.Join(closed, "postgres"), home, "the server runs as we do")
		return
	}
	require.Regexp(t, `^/var/lib/waybill/[0-9a-f]{12}$`, home)
	other, err := postgres.Home(filepath.Join(closed, "other"))
	require.NoError(t, err)
	require.NotEqual(t, other, home)
}

func TestExternalServerIsAURL(t *testing.T) {
	t.Setenv(postgres.EnvURL, "")
	_, ok, err := postgres.External()
	require.NoError(t, err)
	require.False(t, ok)

	t.Setenv(postgres.EnvURL, "postgres://me:secret@db:5433/whatever?sslmode=disable")
	url, ok, err := postgres.External()
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "postgres://me:secret@db:5433/orders?sslmode=disable", url("orders"))

	for _, bad := range []string{"host=db password=secret", "postgres://me:secret@db:port"} {
		t.Setenv(postgres.EnvURL, bad)
		_, _, err = postgres.External()
		require.ErrorContains(t, err, "WAYBILL_POSTGRES is no URL of a Postgres server")
		require.NotContains(t, err.Error(), "secret")
	}
}

// What a standby has when it is promoted is what its primary had committed when it last received
// something.
func TestStandby_FollowsAndIsPromoted(t *testing.T) {
	t.Parallel()
	primary := start(t, postgres.Config{Dir: openDir(t), Disposable: true})
	dir := openDir(t)
	standby, err := primary.StartStandby(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(standby.Kill)
	conn, err := pgx.Connect(t.Context(), primary.URL("postgres"))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "create table things as select 1 as id")
	require.NoError(t, err)
	require.NoError(t, standby.CaughtUp(t.Context()))
	follower, err := pgx.Connect(t.Context(), standby.URL("postgres"))
	require.NoError(t, err)
	defer follower.Close(t.Context())
	require.NoError(t, postgres.StopStreaming(t.Context(), follower))
	_, err = conn.Exec(t.Context(), "insert into things values (2)")
	require.NoError(t, err)

	primary.Kill()
	_, err = follower.Exec(t.Context(), "insert into things values (3)")
	require.ErrorContains(t, err, "read-only")
	require.NoError(t, standby.Promote(t.Context()))
	var ids []int
	_, err = follower.Exec(t.Context(), "insert into things values (3)")
	require.NoError(t, err)
	require.NoError(t, follower.QueryRow(t.Context(), "select array_agg(id) from things").Scan(&ids))
	require.Equal(t, []int{1, 3}, ids)

	require.NoError(t, standby.Stop())
	_, err = primary.StartStandby(t.Context(), dir)
	require.ErrorContains(t, err, "was promoted")
}
