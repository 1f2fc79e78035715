package claimcheck_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"waybill.example/sdk/payload"
	"waybill.example/sdk/payload/claimcheck"
)

// FuzzDecode feeds references that anybody may write to a topic: none leads out of the store, or to
// the blob of another message.
func FuzzDecode(f *testing.F) {
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600); err != nil {
		f.Fatal(err)
	}
	store, err := claimcheck.OpenDir(filepath.Join(dir, "blobs"))
	if err != nil {
		f.Fatal(err)
	}
	codec, err := claimcheck.New(claimcheck.Config{Store: store, Threshold: 1, MaxBytes: 100})
	if err != nil {
		f.Fatal(err)
	}
	own, other := uuid.UUID{1}, uuid.UUID{2}
	put := func(id uuid.UUID, value string) string {
		m, err := codec.Encode(context.Background(), payload.Message{ID: id, Topic: "t", Value: []byte(value)})
		if err != nil {
			f.Fatal(err)
		}
		return m.Headers[payload.HeaderDataRef]
	}
	mine, theirs := put(own, "mine"), put(other, "theirs")
	for _, ref := range []string{
		mine, theirs, "../secret", "..", "t/../../secret", "/etc/passwd", "t/" + own.String() + "/..", strings.ToUpper(mine),
		"file:///etc/passwd", "t//", "t\x00", mine + "/",
	} {
		f.Add(ref)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		m, err := codec.Decode(t.Context(), payload.Message{ID: own, Topic: "t", Headers: map[string]string{payload.HeaderDataRef: ref}})
		if ref != "" && err == nil && (ref != mine || string(m.Value) != "mine") {
			t.Fatalf("%q leads to %q", ref, m.Value)
		}
	})
}
