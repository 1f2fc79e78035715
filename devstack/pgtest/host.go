package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/migrations"
)

// closeTime is how long a test's pool may take to get its connections back.
const closeTime = time.Minute

// host makes databases on one server.
type host struct {
	url func(database string) string

	mu        sync.Mutex
	templates map[string]func() (string, error) // by the sets they hold
}

func (h *host) newDatabase(t testing.TB, sets []migrations.Set) *Database {
	t.Helper()
	ctx := context.Background() // t.Context ends before the cleanup below
	template, err := h.template(sets)()
	require.NoError(t, err)
	name := uniqueName("test")
	require.NoError(t, h.exec(ctx, "create database "+name+" template "+template))

	db := &Database{URL: h.url(name)}
	db.Pool, err = pgxpool.New(ctx, db.URL)
	require.NoError(t, err)
	t.Cleanup(func() {
		if !closeInTime(db.Pool) {
			t.Error("the test ended with a connection of its pool still acquired")
		}
		// A test may have stopped its private server: its data goes anyway.
		_ = h.exec(ctx, "drop database if exists "+name+" with (force)")
	})
	return db
}

// template returns what makes, once, a database with the sets applied.
func (h *host) template(sets []migrations.Set) func() (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := fmt.Sprint(sets)
	made, ok := h.templates[key]
	if !ok {
		made = sync.OnceValues(func() (string, error) { return h.makeTemplate(sets) })
		if h.templates == nil {
			h.templates = map[string]func() (string, error){}
		}
		h.templates[key] = made
	}
	return made
}

func (h *host) makeTemplate(sets []migrations.Set) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	name := uniqueName("template")
	if err := h.exec(ctx, "create database "+name); err != nil {
		return "", err
	}
	if _, err := migrations.Up(ctx, h.url(name), sets...); err != nil {
		return "", fmt.Errorf("make a template database: %w", err)
	}
	return name, nil
}

// dropTemplates leaves a server that is not ours as it was.
func (h *host) dropTemplates(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for _, made := range h.templates {
		if name, err := made(); err == nil {
			errs = append(errs, h.exec(ctx, "drop database "+name+" with (force)"))
		}
	}
	return errors.Join(errs...)
}

// exec runs one statement in the maintenance database, over a connection of
// its own: create database needs no other to be open.
func (h *host) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, h.url("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the test server: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// uniqueName is unique among all test binaries that share a server.
func uniqueName(kind string) string {
	return "waybill_" + kind + "_" + strings.ToLower(rand.Text()[:12])
}

// closeInTime closes a pool, which waits for every connection to be released.
func closeInTime(pool *pgxpool.Pool) bool {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		pool.Close()
	}()
	select {
	case <-closed:
		return true
	case <-time.After(closeTime):
		return false
	}
}
