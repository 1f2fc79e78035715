// Package pgtest gives each test a Postgres database of its own, on a real
// server, in a few milliseconds.
//
// A test binary starts one private server when its first test asks for a
// database, migrates one template database for each combination of migration
// sets, and clones it for each test. Call it from TestMain, and then:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestPlaceOrder(t *testing.T) {
//		t.Parallel()
//		db := pgtest.New(t, migrations.Outbox, migrations.Orders)
//		...
//	}
//
// With WAYBILL_POSTGRES set the databases are made on that server instead.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/devstack/postgres"
	"waybill.example/migrations"
)

// Database is one test's own database.
type Database struct {
	URL  string
	Pool *pgxpool.Pool
}

// Main runs a package's tests, ends the server that they shared, fails when a
// goroutine is left (the options are goleak's), and exits. It is all of a
// TestMain.
func Main(m *testing.M, leaks ...goleak.Option) {
	inMain = true
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	if code == 0 {
		if err := goleak.Find(leaks...); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// inMain is written before any test runs.
var inMain bool

// New makes a database with the schemas of the named migration sets, applied in
// this order, and drops it when the test ends.
func New(t testing.TB, sets ...migrations.Set) *Database {
	t.Helper()
	require.True(t, inMain, "this package needs: func TestMain(m *testing.M) { pgtest.Main(m) }")
	host, err := shared.get()
	require.NoError(t, err)
	return host.newDatabase(t, sets)
}

// Server is a Postgres server of one test's own, to be stopped under its feet.
type Server struct {
	*postgres.Server
	host *host
}

// Private starts a server for this test alone; it ends with the test. Starting
// takes about a second, so use New where the server itself is not the point.
func Private(t testing.TB) *Server {
	t.Helper()
	server, err := startPrivate(context.Background())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.discard()) })
	return &Server{Server: server.Server, host: &host{url: server.URL}}
}

// New is like the function New, on this server.
func (s *Server) New(t testing.TB, sets ...migrations.Set) *Database {
	t.Helper()
	return s.host.newDatabase(t, sets)
}

// sharedHost is the server that the tests of this binary share, once started.
type sharedHost struct {
	once   sync.Once
	host   *host
	server *private
	err    error
}

var shared sharedHost

func (s *sharedHost) get() (*host, error) {
	s.once.Do(func() {
		databaseURL, external, err := postgres.External()
		if err != nil || external {
			s.host, s.err = &host{url: databaseURL}, err
			return
		}
		if s.server, s.err = startPrivate(context.Background()); s.err == nil {
			s.host = &host{url: s.server.URL}
		}
	})
	return s.host, s.err
}

func (s *sharedHost) stop() error {
	switch {
	case s.server != nil:
		return s.server.discard()
	case s.host != nil:
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		return s.host.dropTemplates(ctx)
	default:
		return nil // no test asked for a database
	}
}
