package contracts

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func shard(t require.TestingT, text string) (s Shard) {
	require.NoError(t, s.UnmarshalText([]byte(text)))
	require.Equal(t, text, s.String())
	return s
}

// Every message has exactly one shard, whatever its key: what two shards kept would take effect
// twice, and what none did would be lost.
func TestShard_EveryKeyHasExactlyOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Int64Range(0, MaxShard).Draw(t, "shard")
		owner, err := ShardNumber(number)
		require.NoError(t, err)
		first, last := owner.OrderIDs()
		key := []byte(strconv.FormatInt(rapid.Int64Range(first, last).Draw(t, "id"), 10))
		if rapid.Bool().Draw(t, "no id") {
			owner, key = shard(t, "0"), []byte(rapid.StringMatching(`[a-z-]{0,9}|-[1-9][0-9]{0,15}|[1-9][0-9]{19,29}`).Draw(t, "key"))
		}
		other, err := ShardNumber(rapid.Int64Range(0, MaxShard).Filter(func(n int64) bool { return strconv.FormatInt(n, 10) != owner.String() }).Draw(t, "other"))
		require.NoError(t, err)
		require.True(t, owner.Owns(key), "shard %s, key %s", owner, key)
		require.False(t, other.Owns(key), "shard %s, key %s", other, key)
		require.True(t, Shard{}.Owns(key))
	})
}

func TestShard_TheFirstIsTheSystemThatWasNotSharded(t *testing.T) {
	t.Parallel()
	require.Equal(t, "orchestrator", Shard{}.Group("orchestrator"))
	require.Equal(t, "orchestrator", shard(t, "0").Group("orchestrator"))
	require.Equal(t, "orchestrator.2", shard(t, "2").Group("orchestrator"))
	first, last := shard(t, "0").OrderIDs()
	require.Equal(t, []int64{1, 999_999_999_999}, []int64{first, last})
	first, last = shard(t, "2").OrderIDs()
	require.Equal(t, []int64{2_000_000_000_000, 2_999_999_999_999}, []int64{first, last})
	_, last = shard(t, strconv.Itoa(MaxShard)).OrderIDs()
	require.Less(t, last, int64(1)<<53)
}

func TestShard_IsANumber(t *testing.T) {
	t.Parallel()
	require.Equal(t, Shard{}, shard(t, ""))
	for _, text := range []string{"one", "-1", "9007", "1.5", " 1"} {
		require.ErrorContains(t, new(Shard).UnmarshalText([]byte(text)), "a number from 0 to 9006", text)
	}
}

func TestShard_KnowsItsDatabases(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		shard, database, plain string
		ours                   bool
	}{
		{"", "orders", "orders", true},
		{"", "orders-1", "orders-1", true},
		{"0", "orders", "orders", true},
		{"0", "orders-1", "orders", false},
		{"0", "order-history", "order-history", true},
		{"1", "orders", "orders", false},
		{"1", "orders-1", "orders", true},
		{"1", "orders-11", "orders", false},
	} {
		plain, ours := shard(t, tt.shard).Plain(tt.database)
		require.Equal(t, tt.ours, ours, "%+v", tt)
		require.Equal(t, tt.plain, plain, "%+v", tt)
		if ours {
			require.Equal(t, tt.database, shard(t, tt.shard).Database(plain), "%+v", tt)
		}
	}
}
