package payload_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"

	"waybill.example/sdk/payload"
)

// compression is a codec of one's own.
type compression struct{}

func (compression) Encode(_ context.Context, m payload.Message) (payload.Message, error) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(m.Value); err != nil {
		return payload.Message{}, err
	}
	if err := w.Close(); err != nil {
		return payload.Message{}, err
	}
	m.Value = packed.Bytes()
	return m.With(map[string]string{"content-encoding": "gzip"}), nil
}

func (compression) Decode(_ context.Context, m payload.Message) (payload.Message, error) {
	if m.Headers["content-encoding"] != "gzip" {
		return m, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(m.Value))
	if err != nil {
		return payload.Message{}, err
	}
	const limit = 1 << 20 // what is received is not trusted
	if m.Value, err = io.ReadAll(io.LimitReader(r, limit)); err != nil {
		return payload.Message{}, err
	}
	return m.Without("content-encoding"), nil
}

// A codec says by headers what it did, so that messages without them are left alone.
func ExampleCodec() {
	codec := payload.Chain(compression{})
	ctx := context.Background()
	sent, err := codec.Encode(ctx, payload.Message{Type: "OrderCreated", Value: []byte(`{"orderId":1}`)})
	if err != nil {
		panic(err)
	}
	fmt.Println(sent.Headers)
	received, err := codec.Decode(ctx, sent)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s %v\n", received.Value, received.Headers)
	// Output:
	// map[content-encoding:gzip]
	// {"orderId":1} map[]
}
