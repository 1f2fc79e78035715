package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"waybill.example/chassis/config"
)

// Renewed returns a pool's BeforeConnect: each connection is opened with the login and the hosts of
// the URL as it is then, and with the certificates that the files which it names hold then. A URL
// that cannot be used, as while files are being replaced, leaves everything as it was.
func Renewed(url func() string) func(context.Context, *pgx.ConnConfig) error {
	return func(_ context.Context, c *pgx.ConnConfig) error {
		if now, err := pgx.ParseConfig(url()); err == nil {
			c.Host, c.Port, c.Database, c.User, c.Password = now.Host, now.Port, now.Database, now.User, now.Password
			c.TLSConfig, c.Fallbacks = now.TLSConfig, now.Fallbacks
		}
		return nil
	}
}

// current returns the URL as it is now: DATABASE_URL_FILE may be replaced while the process runs.
func (c Config) current() func() string {
	file := config.FileOf("DATABASE_URL")
	return func() string {
		if file != nil {
			if text, err := file.Text(); err == nil && strings.TrimSpace(text) != "" {
				return text
			}
		}
		return string(c.URL)
	}
}
