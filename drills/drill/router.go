package drill

import (
	"hash/fnv"
	"net/http"
	"path"
	"strconv"

	"waybill.example/contracts"
)

// newRouter returns a balancer over one Orders of each shard, in the order of their numbers. It is
// what docs/scaling.md has HAProxy do: an order is asked for where its id says, and a new one goes
// where its Idempotency-Key went before, or else to a shard by the hash of its key. So a request
// that is sent again meets the shard that knows its key, also after a shard was added.
func newRouter(shards []string) (*balancer, error) {
	return (&balancer{addrs: shards}).start((*balancer).byShard)
}

func (b *balancer) byShard(r *http.Request) string {
	if id, err := strconv.ParseInt(path.Base(r.URL.Path), 10, 64); err == nil {
		return b.addrs[min(int(id/contracts.OrdersPerShard), len(b.addrs)-1)]
	}
	key := r.Header.Get("Idempotency-Key")
	shard, sent := b.keys[key]
	if !sent {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(key)) // never fails
		shard = int(hash.Sum32() % uint32(len(b.addrs)))
		b.keys[key] = shard
	}
	return b.addrs[shard]
}

// shardOf returns where the requests of a key go.
func (b *balancer) shardOf(key string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.keys[key]
}
