package plaintext_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/plaintext"
)

func TestLoneSurrogate_FindsHalvesOfCharacters(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		`"\ud83d\ude00"`: false, `"\ud83d"`: true, `"\ude00"`: true, `"\ud83d\ud83d"`: true, `"\ud83dx"`: true,
		`"\\ud83d"`: false, `"\\\ud83d"`: true, `"\n\u0041"`: false, `"😀"`: false, `"\ud83`: false, `\`: false, "": false,
	} {
		require.Equal(t, want, plaintext.LoneSurrogate([]byte(body)), body)
	}
}

func TestControl_LeavesTextAlone(t *testing.T) {
	t.Parallel()
	for _, r := range "\x00\n\t\x1b\x7f\u0085\u2028\u2029\u202e\u200b\ufeff" {
		require.True(t, plaintext.Control(r), "%U", r)
	}
	for _, r := range "a ü€😀\u200c\u200d\u00a0" {
		require.False(t, plaintext.Control(r), "%U", r)
	}
}

func ExampleControl() {
	fmt.Println(plaintext.Control('a'), plaintext.Control('\u202e'))
	// Output: false true
}
