package claimcheck_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/payload"
	"waybill.example/sdk/payload/claimcheck"
)

func Example() {
	path, err := os.MkdirTemp("", "blobs")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(path) }()
	store, err := claimcheck.OpenDir(path)
	if err != nil {
		panic(err)
	}
	defer func() { _ = store.Close() }()
	codec, err := claimcheck.New(claimcheck.Config{Store: store, Threshold: 100_000})
	if err != nil {
		panic(err)
	}

	// What an outbox.Writer and an inbox.Processor with this codec do.
	ctx := context.Background()
	photo := payload.Message{ID: uuid.New(), Topic: "photos.v1", Type: "PhotoTaken", Value: []byte(strings.Repeat("x", 1_000_000))}
	sent, err := codec.Encode(ctx, photo)
	if err != nil {
		panic(err)
	}
	received, err := codec.Decode(ctx, sent)
	if err != nil {
		panic(err)
	}
	fmt.Println(len(sent.Value), len(received.Value))

	// From time to time.
	removed, err := claimcheck.Collect(ctx, store, time.Now().Add(-30*24*time.Hour))
	fmt.Println(removed, err)
	// Output:
	// 0 1000000
	// 0 <nil>
}
