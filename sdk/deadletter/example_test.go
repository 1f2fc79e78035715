package deadletter_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/inbox"
)

// Once the reason is gone, what had it is redriven: it takes effect in the service's own process,
// where the consumer's redriver runs, and what waited behind it follows.
func ExampleStore_Redrive() {
	redrive := func(ctx context.Context, db *pgxpool.Pool, redriver *inbox.Redriver, cause string) error {
		letters := deadletter.NewStore(db)
		dead, err := letters.List(ctx, deadletter.Filter{State: deadletter.Dead, Cause: cause}, deadletter.Page{Limit: 100})
		if err != nil {
			return err
		}
		for _, l := range slices.Backward(dead) { // the oldest of a key first
			l, err := letters.Redrive(ctx, l.ID, deadletter.Change{Revision: l.Revision, Note: "the article is known now"})
			if err != nil {
				return err
			}
			if err := redriver.RunQueue(ctx, *l.KeyID); err != nil { // at once; Run would find it within seconds
				return err
			}
			fmt.Println(l.Topic, l.Partition, l.Offset)
		}
		return nil
	}
	_ = redrive
}
