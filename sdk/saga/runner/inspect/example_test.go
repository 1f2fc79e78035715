package inspect_test

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/inspect"
)

// The sagas that need an operator, and why one of them does.
func Example() {
	show := func(ctx context.Context, db *pgxpool.Pool, sagas *runner.Runner) error {
		inspector := inspect.New(db, sagas.Registry())
		stuck, err := inspector.List(ctx, inspect.Filter{Stuck: true, Limit: 50}, time.Now())
		if err != nil {
			return err
		}
		for _, s := range stuck {
			_, timeline, err := inspector.Get(ctx, saga.Ref{Definition: s.Definition, ID: s.ID})
			if err != nil {
				return err
			}
			last := timeline[len(timeline)-1]
			fmt.Println(s.ID, s.State, s.Trouble, "since", last.At)
		}
		return nil
	}
	_ = show
}
