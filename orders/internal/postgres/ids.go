package postgres

import (
	"context"
	"fmt"

	"waybill.example/contracts"
)

// idsSQL reads from the catalog, for which the service needs no grant.
const idsSQL = `select seqmin, seqmax from pg_sequence where seqrelid = 'orders_id_seq'::regclass`

// ForeignIDsError says that a database could allocate order ids that its shard does not own, and
// how to set it up.
type ForeignIDsError struct {
	Shard       contracts.Shard
	First, Last int64 // what it could allocate
}

// Error implements error.
func (e *ForeignIDsError) Error() string {
	if e.Shard == (contracts.Shard{}) {
		return fmt.Sprintf("this database allocates order ids from %d to %d, those of shard %d, and ORDER_SHARD is not set: "+
			"other shards share the topics, and their orders would be carried out here, too; set ORDER_SHARD=%d on every instance of this shard's services",
			e.First, e.Last, e.First/contracts.OrdersPerShard, e.First/contracts.OrdersPerShard)
	}
	first, last := e.Shard.OrderIDs()
	sql := fmt.Sprintf("alter sequence orders_id_seq maxvalue %d", last)
	if first > 1 {
		sql = fmt.Sprintf("alter sequence orders_id_seq minvalue %d maxvalue %d start %d restart", first, last, first)
	}
	return fmt.Sprintf("ORDER_SHARD is %s, which owns the order ids from %d to %d, and this database allocates those from %d to %d; as its owner run: %s",
		e.Shard, first, last, e.First, e.Last, sql)
}

// CheckIDs returns a *[ForeignIDsError] if the database could allocate an order id that the shard
// does not own, or only those of one shard where none is set: there are others then.
func (s *Store) CheckIDs(ctx context.Context, shard contracts.Shard) error {
	found := ForeignIDsError{Shard: shard}
	if err := s.pool.QueryRow(ctx, idsSQL).Scan(&found.First, &found.Last); err != nil {
		return fmt.Errorf("read which order ids are allocated: %w", err)
	}
	if shard == (contracts.Shard{}) {
		if found.Last/contracts.OrdersPerShard <= contracts.MaxShard {
			return &found
		}
		return nil
	}
	if first, last := shard.OrderIDs(); found.First < first || found.Last > last {
		return &found
	}
	return nil
}
