package idempotency_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/idempotency"
)

func TestSum_TellsApartWhatIsCutDifferently(t *testing.T) {
	t.Parallel()
	seen := map[idempotency.Digest][]string{}
	for _, fields := range [][]string{nil, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"a", "b", ""}, {"b", "a"}, {"a\x00b"}} {
		sum := idempotency.Sum(fields...)
		require.NotContains(t, seen, sum, "%q and %q", seen[sum], fields)
		seen[sum] = fields
	}
}

func ExampleSum() {
	first, again := idempotency.Sum("place", "u1", "burger", "2"), idempotency.Sum("place", "u1", "burger", "2")
	fmt.Println(first == again, first == idempotency.Sum("place", "u1", "burger", "3"))
	// Output: true false
}
