package payloads

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"waybill.example/chassis/config"
	"waybill.example/chassis/s3blobs"
	"waybill.example/sdk/payload/claimcheck"
)

// BlobConfig is where large payloads are kept; without a store they travel with their message.
type BlobConfig struct {
	// Store is file:///a/directory that senders and receivers share, or s3://bucket/prefix.
	Store string `env:"PAYLOAD_BLOBS"`
	// Threshold is the length in bytes above which a payload is kept there, and MaxBytes the
	// longest that is accepted.
	Threshold int   `env:"PAYLOAD_BLOB_THRESHOLD" envDefault:"262144"`
	MaxBytes  int64 `env:"PAYLOAD_BLOB_MAX_BYTES" envDefault:"67108864"`
	// Retention is after how long this service removes blobs; 0: something else does, such as a
	// rule of the bucket. It has to be longer than messages can be read.
	Retention time.Duration `env:"PAYLOAD_BLOB_RETENTION" envDefault:"0"`
	// Endpoint, Region and the keys are of an S3 that is not Amazon's, or not this machine's role.
	Endpoint  string        `env:"PAYLOAD_S3_ENDPOINT"`
	Region    string        `env:"PAYLOAD_S3_REGION"`
	AccessKey config.Secret `env:"PAYLOAD_S3_ACCESS_KEY"`
	SecretKey config.Secret `env:"PAYLOAD_S3_SECRET_KEY"`
}

// Validate implements config.Validator.
func (c BlobConfig) Validate() []error {
	var problems []error
	if c.Threshold < 0 || c.MaxBytes < 0 || c.Retention < 0 {
		problems = append(problems, errors.New("PAYLOAD_BLOB_THRESHOLD, PAYLOAD_BLOB_MAX_BYTES and PAYLOAD_BLOB_RETENTION must not be negative"))
	}
	if _, err := url.Parse(c.Store); err != nil {
		problems = append(problems, errors.New("PAYLOAD_BLOBS must be file:///directory or s3://bucket/prefix"))
	}
	return problems
}

// open returns the store, nil where there is none.
func (c BlobConfig) open() (claimcheck.BlobStore, error) {
	if c.Store == "" {
		return nil, nil //nolint:nilnil // there need not be one
	}
	at, err := url.Parse(c.Store)
	if err != nil {
		return nil, fmt.Errorf("PAYLOAD_BLOBS: %w", err)
	}
	switch {
	case at.Scheme == "file" && at.Host == "" && at.Path != "":
		return claimcheck.OpenDir(at.Path)
	case at.Scheme == "s3" && at.Host != "":
		return s3blobs.New(s3blobs.Config{
			Endpoint: c.Endpoint, Region: c.Region, Bucket: at.Host, Prefix: at.Path,
			AccessKey: string(c.AccessKey), SecretKey: string(c.SecretKey),
		})
	}
	return nil, errors.New("PAYLOAD_BLOBS must be file:///directory or s3://bucket/prefix")
}

// collectEvery is how often blobs are removed: to look for old ones, all are listed.
const collectEvery = time.Hour

// collect removes old blobs, all at once, and so leaves none for a next batch.
func (p *Payloads) collect(ctx context.Context, _ int) (int, error) {
	n, err := claimcheck.Collect(ctx, p.blobs, time.Now().Add(-p.retention))
	if n > 0 {
		p.log.InfoContext(ctx, "old blobs collected", "blobs", n)
	}
	return 0, err
}
