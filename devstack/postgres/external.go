package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"os"
)

// EnvPrefix names the environment variable with what the names of a stack's
// databases begin with on the server of [EnvURL].
const EnvPrefix = "WAYBILL_DATABASE_PREFIX"

// External returns how to reach the databases of the server that
// WAYBILL_POSTGRES names, or false when it is not set.
func External() (databaseURL func(database string) string, ok bool, err error) {
	server := os.Getenv(EnvURL)
	if server == "" {
		return nil, false, nil
	}
	u, err := url.Parse(server)
	if err == nil && u.Scheme != "postgres" && u.Scheme != "postgresql" {
		err = errors.New("it does not begin with postgres://")
	}
	if err != nil {
		// url.Parse repeats the text, and with it a password.
		if fault, ok := errors.AsType[*url.Error](err); ok {
			err = fault.Err
		}
		return nil, false, fmt.Errorf("%s is no URL of a Postgres server: %w", EnvURL, err)
	}
	return func(database string) string {
		at := *u
		at.Path = "/" + database
		return at.String()
	}, true, nil
}
