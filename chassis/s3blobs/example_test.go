package s3blobs_test

import (
	"waybill.example/chassis/s3blobs"
	"waybill.example/sdk/payload/claimcheck"
)

func Example() {
	store, err := s3blobs.New(s3blobs.Config{Endpoint: "https://minio.internal:9000", Bucket: "payloads", Prefix: "orders"})
	if err != nil {
		return
	}
	codec, err := claimcheck.New(claimcheck.Config{Store: store})
	if err != nil {
		return
	}
	_ = codec // for an outbox.Writer and an inbox.Processor
}
