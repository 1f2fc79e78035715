package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says how to reach the database.
type Config struct {
	// URL is postgres://user:password@host:port/name; pool_max_conns and the like may follow as
	// parameters (see pgxpool.ParseConfig).
	URL string `env:"DATABASE_URL,required,notEmpty" secret:"true"`
}

// connectTimeout bounds one attempt to connect, so that a host which drops packets does not hold a
// request longer than its own deadline.
const connectTimeout = 2 * time.Second

// Open returns a pool. It does not connect: use [AwaitSchema] to wait for the database. name
// becomes the application_name by which the sessions can be told apart in pg_stat_activity. Statements
// find their rows by an index wherever there is one.
func Open(ctx context.Context, c Config, name string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		// pgx's error may quote the URL, and the URL holds a password.
		return nil, errors.New("DATABASE_URL cannot be parsed; it looks like postgres://user:password@host:5432/name")
	}
	config.ConnConfig.RuntimeParams["application_name"] = name
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.AfterConnect = byIndex
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open connection pool: %w", err)
	}
	return pool, nil
}
