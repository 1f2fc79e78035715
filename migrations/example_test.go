package migrations_test

import (
	"context"
	"fmt"
	"os"

	"waybill.example/migrations"
)

// Install the outbox into the database of a service of your own.
func ExampleUp() {
	install := func(ctx context.Context) error {
		steps, err := migrations.Up(ctx, os.Getenv("DATABASE_URL"), migrations.Outbox)
		for _, s := range steps {
			fmt.Println("applied", s.File)
		}
		return err
	}
	_ = install
}
