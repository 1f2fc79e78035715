package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/chassis/postgres"
	"waybill.example/devstack/certs"
	devstack "waybill.example/devstack/postgres"
	"waybill.example/devstack/tempdir"
)

// Who may log in, and how: nobody in the clear but the superuser of the test, orders_service by its
// certificate alone, and relay_orders by its password and a certificate of its name.
const hba = `
hostnossl all waybill        127.0.0.1/32 scram-sha-256
hostnossl all all            127.0.0.1/32 reject
hostssl   all orders_service 127.0.0.1/32 cert
hostssl   all relay_orders   127.0.0.1/32 scram-sha-256 clientcert=verify-full
hostssl   all all            127.0.0.1/32 scram-sha-256
`

// secured is a server that takes connections over TLS only.
type secured struct {
	*devstack.Server
	servers, clients *certs.Authority
}

func startSecured(t *testing.T) *secured {
	t.Helper()
	s := &secured{servers: certs.New(t), clients: certs.New(t)}
	files := map[string][]byte{"pg_hba.conf": []byte(hba)}
	pair := s.servers.Issue(t, "postgres")
	for name, from := range map[string]string{"server.pem": pair.Cert, "server.key": pair.Key, "clients.pem": s.clients.File} {
		content, err := os.ReadFile(from)
		require.NoError(t, err)
		files[name] = content
	}
	dir, remove, err := tempdir.Make("tls")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, remove()) })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s.Server, err = devstack.Start(ctx, devstack.Config{Dir: dir, Disposable: true, Files: files, Settings: []string{
		"hba_file=pg_hba.conf", "ssl=on", "ssl_cert_file=../server.pem", "ssl_key_file=../server.key", "ssl_ca_file=../clients.pem",
	}})
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Kill()
		require.NoError(t, s.Remove())
	})
	s.exec(t, `create role orders_service login; create role relay_orders login password 'first'`)
	return s
}

func (s *secured) exec(t *testing.T, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

// url is how a login reaches the server, with what it shows.
func (s *secured) url(t *testing.T, login, password string, pair *certs.Pair, more ...string) string {
	t.Helper()
	u, err := url.Parse(s.URL("postgres"))
	require.NoError(t, err)
	u.User = url.UserPassword(login, password)
	q := u.Query()
	q.Set("sslmode", "verify-full")
	q.Set("sslrootcert", s.servers.File)
	if pair != nil {
		q.Set("sslcert", pair.Cert)
		q.Set("sslkey", pair.Key)
	}
	for _, setting := range more {
		name, value, _ := strings.Cut(setting, "=")
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func openURL(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: config.Secret(url)}, "tls-test")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// session says how the server sees a connection of the pool.
func session(t *testing.T, pool *pgxpool.Pool) (role, serial string, err error) {
	t.Helper()
	err = pool.QueryRow(t.Context(), `select current_user, client_serial::text from pg_stat_ssl where pid = pg_backend_pid() and ssl`).Scan(&role, &serial)
	return role, serial, err
}

// refused returns why a session is refused. A server that refuses a certificate may close the
// connection before the client has read why (TLS 1.3 has it checked after the client's handshake),
// so it is asked again; let in it must never be.
func refused(t *testing.T, pool *pgxpool.Pool, what string) (why error) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, _, why = session(t, pool)
		return why == nil || !errors.Is(why, syscall.ECONNRESET) && !errors.Is(why, syscall.EPIPE) && !pgconn.Timeout(why)
	}, patience, 10*time.Millisecond, what)
	require.Error(t, why, what)
	return why
}

// The settings of docs/security.md against a server with hostssl: what they let in, and what is
// refused without them.
func TestOpen_OverTLSWithACertificateOfItsOwn(t *testing.T) {
	t.Parallel()
	s := startSecured(t)
	pair, mallory, foreign := s.clients.Issue(t, "orders_service"), s.clients.Issue(t, "mallory"), certs.New(t).Issue(t, "orders_service")
	relay := s.clients.Issue(t, "relay_orders")

	pool := openURL(t, s.url(t, "orders_service", "", &pair))
	role, first, err := session(t, pool)
	require.NoError(t, err)
	require.Equal(t, "orders_service", role)

	for what, address := range map[string]string{
		"in the clear":                    s.url(t, "orders_service", "", nil, "sslmode=disable"),
		"without a certificate":           s.url(t, "orders_service", "", nil),
		"with somebody else's":            s.url(t, "orders_service", "", &mallory),
		"with one of another authority":   s.url(t, "orders_service", "", &foreign),
		"with a password and no more":     s.url(t, "relay_orders", "first", nil),
		"with a certificate and no more":  s.url(t, "relay_orders", "second", &relay),
		"to a server that nobody vouches": s.url(t, "orders_service", "", &pair, "sslrootcert="+s.clients.File),
	} {
		err := refused(t, openURL(t, address), what)
		require.Regexp(t, `SQLSTATE 28|x509|tls: `, err.Error(), what)
		require.NotContains(t, err.Error(), "second", what)
	}

	// The certificate is renewed: connections from then on show the new one.
	s.clients.Issue(t, "orders_service")
	pool.Reset()
	_, second, err := session(t, pool)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	// While its files do not fit, connections are as they were.
	require.NoError(t, os.WriteFile(pair.Key, []byte("half of a key"), 0o600))
	pool.Reset()
	_, _, err = session(t, pool)
	require.NoError(t, err)
}

// A password in the file of DATABASE_URL_FILE is rotated while the pool is open.
func TestOpen_APasswordIsRotated(t *testing.T) {
	s := startSecured(t)
	pair := s.clients.Issue(t, "relay_orders")
	file := filepath.Join(t.TempDir(), "url")
	write := func(password string) {
		require.NoError(t, os.WriteFile(file, fmt.Appendln(nil, s.url(t, "relay_orders", password, &pair)), 0o600))
	}
	write("first")
	t.Setenv("DATABASE_URL_FILE", file)
	var c postgres.Config
	require.NoError(t, config.Load(&c))
	pool, err := postgres.Open(t.Context(), c, "tls-test")
	require.NoError(t, err)
	defer pool.Close()
	_, _, err = session(t, pool)
	require.NoError(t, err)

	s.exec(t, `alter role relay_orders password 'second'`)
	_, _, err = session(t, pool)
	require.NoError(t, err, "connections that are open stay")
	pool.Reset()
	_, _, err = session(t, pool)
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "28P01", refused.Code)
	write("second")
	require.Eventually(t, func() bool { _, _, err := session(t, pool); return err == nil }, 30*time.Second, 50*time.Millisecond)
}
