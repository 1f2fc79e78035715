package tracecontext_test

import (
	"testing"

	"waybill.example/sdk/tracecontext"
)

// What is passed on is what was received, is bounded, and would be passed on again.
func FuzzParse_PassesOnWhatItReceivedOrNothing(f *testing.F) {
	for _, seed := range []string{
		"", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", "\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, received string) {
		parsed := tracecontext.Parse(received)
		if parsed == "" {
			return
		}
		if parsed != received || len(parsed) > 128 || tracecontext.Parse(parsed) != parsed {
			t.Fatalf("%q became %q", received, parsed)
		}
		for _, c := range []byte(parsed) {
			if c <= ' ' || c > '~' {
				t.Fatalf("%q holds %q", parsed, c)
			}
		}
	})
}
