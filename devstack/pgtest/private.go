package pgtest

import (
	"context"
	"errors"
	"os"

	"waybill.example/devstack/postgres"
	"waybill.example/devstack/tempdir"
)

// private is a server in a temporary directory.
type private struct {
	*postgres.Server

	removeDir func() error
}

func startPrivate(ctx context.Context) (*private, error) {
	dir, remove, err := tempdir.Make("testdb")
	if err != nil {
		return nil, err
	}
	server, err := postgres.Start(ctx, postgres.Config{Dir: dir, Disposable: true, Progress: os.Stderr})
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	return &private{server, remove}, nil
}

// discard ends a server for good. There is nothing in it to be kept.
func (p *private) discard() error {
	p.Kill()
	return errors.Join(p.Remove(), p.removeDir())
}
