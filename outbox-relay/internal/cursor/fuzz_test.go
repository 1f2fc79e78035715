package cursor_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/outbox-relay/internal/cursor"
)

// What is read as a multirange is written so that it is read as the same again.
func FuzzParse_ReadsWhatItWrites(f *testing.F) {
	for _, seed := range []string{"{}", "{[1,5)}", "{[1,5),[7,9)}", "{[5,1)}", "{[1,5),[2,3)}", "{[,1)}", "{(1,5]}", "", "{[9223372036854775807,1)}", "{[1,5)[6,7)}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := cursor.Parse(text)
		if err != nil {
			return
		}
		again, err := cursor.Parse(set.String())
		require.NoError(t, err)
		require.Equal(t, set.String(), again.String())
	})
}
