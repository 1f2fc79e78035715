package contracts

import (
	"fmt"
	"strconv"
	"strings"
)

// OrdersPerShard is how many order ids a shard has: shard n owns those from n·10¹² on, up to the
// first of the next. What precedes the last twelve digits of an id is its shard, which a load
// balancer can read from a path, and shard 0 has the ids of a system that was never sharded.
const OrdersPerShard = 1_000_000_000_000

// MaxShard is the last shard whose order ids are exact in JSON for readers that have only doubles.
const MaxShard = 9006

// Shard is which orders a deployment of a service owns. The zero Shard owns all of them: there is
// one deployment. Services of different shards read the same topics, and each keeps what it owns.
type Shard struct {
	number int64
	one    bool
}

// ShardNumber returns the shard with a number from 0 to [MaxShard].
func ShardNumber(number int64) (Shard, error) {
	if number < 0 || number > MaxShard {
		return Shard{}, fmt.Errorf("a shard is a number from 0 to %d, not %d", MaxShard, number)
	}
	return Shard{number, true}, nil
}

// UnmarshalText reads the number of a shard, or nothing, which owns every order. It implements
// [encoding.TextUnmarshaler].
func (s *Shard) UnmarshalText(text []byte) error {
	if *s = (Shard{}); len(text) == 0 {
		return nil
	}
	number, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return fmt.Errorf("a shard is a number from 0 to %d, not %q", MaxShard, text)
	}
	*s, err = ShardNumber(number)
	return err
}

// String returns the shard's number, and nothing for the one that owns every order.
func (s Shard) String() string {
	if !s.one {
		return ""
	}
	return strconv.FormatInt(s.number, 10)
}

// Owns reports whether the messages of a key are this shard's. A key that is no order id is shard
// 0's, so that exactly one shard reports it.
func (s Shard) Owns(key []byte) bool {
	if !s.one {
		return true
	}
	id, err := strconv.ParseInt(string(key), 10, 64)
	if err != nil || id < 0 {
		id = 0
	}
	return id/OrdersPerShard == s.number
}

// OrderIDs returns the first and the last id of the orders that the shard owns.
func (s Shard) OrderIDs() (first, last int64) {
	if !s.one {
		return 1, 1<<63 - 1
	}
	return max(1, s.number*OrdersPerShard), (s.number+1)*OrdersPerShard - 1
}

// Database returns what a database of the shard is called among those of the relay: orders-1 for
// the orders of shard 1, and the plain name in shard 0.
func (s Shard) Database(plain string) string {
	if s.number == 0 {
		return plain
	}
	return plain + "-" + s.String()
}

// Plain undoes [Shard.Database], and reports whether a database of the relay's is this shard's.
func (s Shard) Plain(database string) (plain string, ours bool) {
	plain, number := database, int64(0)
	if i := strings.LastIndexByte(database, '-'); i > 0 {
		if n, err := strconv.ParseInt(database[i+1:], 10, 64); err == nil {
			plain, number = database[:i], n
		}
	}
	if !s.one {
		return database, true
	}
	return plain, number == s.number
}

// Group returns what the consumer group of a service is called in this shard: shard 0 has the name
// of a system that is not sharded, and goes on where that has stopped.
func (s Shard) Group(group string) string {
	if s.number == 0 {
		return group
	}
	return group + "." + s.String()
}
