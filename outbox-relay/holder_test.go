package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/loopback"
)

// An advisory lock needs no right but that to connect, which every role has unless it is taken
// away. Who takes the relay's keeps rows from being published, and must not do so unnoticed.
func TestReadyz_NamesAHolderOfTheLeadThatIsNoRelay(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	mallory := "mallory_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	_, err := p.db.Pool.Exec(t.Context(), "create role "+mallory+" login password 'm'")
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = p.db.Pool.Exec(context.WithoutCancel(t.Context()), "drop role "+mallory) })
	at, err := url.Parse(p.db.URL)
	require.NoError(t, err)
	at.User = url.UserPassword(mallory, "m")
	conn, err := pgx.Connect(t.Context(), at.String())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "set application_name = 'outbox-relay'; select pg_advisory_lock(122550254464888)")
	require.NoError(t, err)

	port, err := loopback.FreePort()
	require.NoError(t, err)
	addr := loopback.Addr(port)
	relay := p.start(t, p.db.URL, "HTTP_ADDR="+addr)
	await(t, func() bool {
		status, body := get(t, "http://"+addr+"/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "is held by role "+mallory+", pid ") &&
			strings.Contains(body, "which is no relay")
	}, "/readyz to name the role")

	require.NoError(t, conn.Close(t.Context()))
	p.awaitLeader(t, relay)
	await(t, func() bool {
		status, _ := get(t, "http://"+addr+"/readyz")
		return status == http.StatusOK
	}, "the relay to be ready")
}
