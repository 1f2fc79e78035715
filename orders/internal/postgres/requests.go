package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	chassispg "waybill.example/chassis/postgres"
	"waybill.example/orders/order"
)

// A client's key is stored in the transaction of what it asked for, so that there is no moment at
// which one of the two is known without the other. Keys are read before that transaction, together
// with the drawing of ids, and claimed in it; where another instance was faster the claim fails,
// the whole transaction is as if it had never been, and the keys are read again.

// One look into the primary key for each pair. A plain join may read all of the index instead,
// where statistics say that the table is small:
//
//	Nested Loop
//	  ->  Function Scan on asked
//	  ->  Limit
//	        ->  Index Scan using order_requests_pkey on order_requests r
const lookUpSQL = `
select r.user_id, r.key, r.digest, r.order_id
from unnest($1::text[], $2::text[]) as asked (user_id, key)
cross join lateral (
    select * from order_requests r where r.user_id = asked.user_id and r.key = asked.key limit 1) as r`

// lookUp queues a read of the keys that came before. The result is filled in when the batch is
// sent.
func lookUp(batch *pgx.Batch, requests []order.Request) map[order.RequestKey]order.Claim {
	var users, keys []string
	for _, p := range requests {
		if p.Key != "" {
			users, keys = append(users, p.UserID), append(keys, p.Key)
		}
	}
	found := make(map[order.RequestKey]order.Claim, len(keys))
	batch.Queue(lookUpSQL, users, keys).Query(func(rows pgx.Rows) error {
		var (
			k      order.RequestKey
			digest []byte
			id     int64
		)
		_, err := pgx.ForEachRow(rows, []any{&k.UserID, &k.Key, &digest, &id}, func() error {
			found[k] = order.Claim{Digest: order.Digest(digest), OrderID: id}
			return nil
		})
		return err
	})
	return found
}

const claimSQL = `
insert into order_requests (user_id, key, digest, order_id)
select user_id, key, digest, order_id
from unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[]) as new (user_id, key, digest, order_id)`

// claim queues the insert of the new keys, in the order of the primary key: two instances that
// claim the same ones wait for each other and cannot deadlock.
func claim(batch *pgx.Batch, placements []order.Placement) {
	claimed := slices.DeleteFunc(slices.Clone(placements), func(p order.Placement) bool { return p.Key == "" })
	if len(claimed) == 0 {
		return
	}
	slices.SortFunc(claimed, func(a, b order.Placement) int {
		return cmp.Or(cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.Key, b.Key))
	})
	n := len(claimed)
	users, keys, digests, ids := make([]string, n), make([]string, n), make([][]byte, n), make([]int64, n)
	for i, p := range claimed {
		digest := p.Digest()
		users[i], keys[i], digests[i], ids[i] = p.UserID, p.Key, digest[:], p.ID
	}
	batch.Queue(claimSQL, users, keys, digests, ids)
}

// claimedMeanwhile reports whether a key that was unknown when it was looked up was claimed by
// another transaction before this one.
func claimedMeanwhile(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.ConstraintName == "order_requests_pkey"
}

const claimOneSQL = `
insert into order_requests (user_id, key, digest, order_id) values ($1, $2, $3, $4)
on conflict (user_id, key) do nothing`

// claimOne claims the key of a request about one order, whose row is locked. known says that the
// same request came before.
func claimOne(ctx context.Context, tx pgx.Tx, k order.RequestKey, digest order.Digest, id int64) (known bool, err error) {
	tag, err := tx.Exec(ctx, claimOneSQL, k.UserID, k.Key, digest[:], id)
	if err != nil {
		return false, fmt.Errorf("claim the key: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return false, nil
	}
	var before []byte
	err = tx.QueryRow(ctx, "select digest from order_requests where user_id = $1 and key = $2", k.UserID, k.Key).Scan(&before)
	if err != nil {
		return false, fmt.Errorf("read the key: %w", err)
	}
	if order.Digest(before) != digest {
		return false, order.ErrKeyReused
	}
	return true, nil
}

// ForgetKeys removes at most limit of the keys that are older than an age, and returns how many it
// did.
func (s *Store) ForgetKeys(ctx context.Context, age time.Duration, limit int) (int, error) {
	return chassispg.DeleteOlder(ctx, s.pool, "order_requests", age, limit)
}
