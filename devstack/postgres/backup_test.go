package postgres_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/postgres"
)

// What was committed after the moment is gone from the recovered server, though the base backup is
// older than both, and stays in the one that was backed up. One database of the recovered server
// can be copied back beside the one that is at work, and all of them can take their place.
func TestBackup_TheServerIsRecoveredAsItWasAtAMoment(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	server := start(t, postgres.Config{Dir: filepath.Join(dir, "server")})
	conn := connected(t, server.URL("postgres"))
	execute(t, conn, "create table written (at timestamptz)")
	backup, err := server.Cluster().BackUp(t.Context(), filepath.Join(dir, "backup"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, backup.Close()) })
	var moment time.Time
	execute(t, conn, "insert into written values (clock_timestamp())")
	require.NoError(t, conn.QueryRow(t.Context(), "select clock_timestamp()").Scan(&moment))
	execute(t, conn, "insert into written values (clock_timestamp())")
	execute(t, conn, "create database copied")

	recovered, err := backup.Recover(t.Context(), filepath.Join(dir, "recovered"), moment)
	require.NoError(t, err)
	t.Cleanup(recovered.Kill)
	require.Equal(t, 2, count(t, server.URL("postgres")))
	require.Equal(t, 1, count(t, recovered.URL("postgres")))

	require.NoError(t, server.Cluster().CopyDatabase(t.Context(), recovered.URL("postgres"), server.URL("copied")))
	require.Equal(t, 1, count(t, server.URL("copied")))

	require.NoError(t, recovered.Stop())
	require.NoError(t, server.Stop())
	require.NoError(t, server.Cluster().Replace(recovered))
	require.NoError(t, server.Start(t.Context()))
	require.Equal(t, 1, count(t, server.URL("postgres")))
}

func connected(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) }) // the server has been stopped
	return conn
}

func execute(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), statement)
	require.NoError(t, err)
}

func count(t *testing.T, url string) (rows int) {
	t.Helper()
	conn := connected(t, url)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from written").Scan(&rows))
	return rows
}
