// Package s3blobs keeps blobs in a bucket of Amazon S3, or of what speaks its protocol (MinIO,
// Ceph, the other clouds), for sdk/payload/claimcheck.
package s3blobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"waybill.example/sdk/payload/claimcheck"
)

// Config says where the bucket is.
type Config struct {
	// Endpoint is the server's address with its scheme; empty: https://s3.amazonaws.com.
	Endpoint string
	// Region is the bucket's; empty: it is asked for.
	Region string
	Bucket string
	// Prefix is put in front of names, with a slash.
	Prefix string
	// AccessKey and SecretKey are credentials. Without them those of the environment
	// (AWS_ACCESS_KEY_ID and the like), of ~/.aws/credentials and of the machine's role are tried.
	AccessKey string
	SecretKey string
}

// Store is a [claimcheck.BlobStore] in a bucket, which has to exist. It is safe for concurrent use.
type Store struct {
	client         *minio.Client
	bucket, prefix string
}

var _ claimcheck.BlobStore = (*Store)(nil)

// New returns a store. It does not connect.
func New(c Config) (*Store, error) {
	if c.Endpoint == "" {
		c.Endpoint = "https://s3.amazonaws.com"
	}
	server, err := url.Parse(c.Endpoint)
	switch {
	case err != nil:
		return nil, fmt.Errorf("S3: the address: %w", err)
	case server.Host == "" || server.Scheme != "http" && server.Scheme != "https" || strings.Trim(server.Path, "/") != "":
		return nil, errors.New("S3: the address must be http:// or https:// and a host")
	case c.Bucket == "":
		return nil, errors.New("S3: which bucket?")
	}
	own := credentials.NewStaticV4(c.AccessKey, c.SecretKey, "")
	if c.AccessKey == "" {
		own = credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: &http.Client{Timeout: 10 * time.Second}},
		})
	}
	client, err := minio.New(server.Host, &minio.Options{Creds: own, Secure: server.Scheme == "https", Region: c.Region})
	if err != nil {
		return nil, fmt.Errorf("S3: %w", err)
	}
	prefix := strings.Trim(c.Prefix, "/")
	if prefix != "" {
		prefix += "/"
	}
	return &Store{client, c.Bucket, prefix}, nil
}

// Put implements [claimcheck.BlobStore].
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	_, err := s.client.PutObject(ctx, s.bucket, s.prefix+name, bytes.NewReader(data), int64(len(data)),
		minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true})
	return err
}

// Get implements [claimcheck.BlobStore].
func (s *Store) Get(ctx context.Context, name string, limit int64) ([]byte, error) {
	object, err := s.client.GetObject(ctx, s.bucket, s.prefix+name, minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = object.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(object, limit+1))
	switch {
	case minio.ToErrorResponse(err).Code == "NoSuchKey":
		return nil, claimcheck.ErrNotFound
	case err != nil:
		return nil, err
	case int64(len(data)) > limit:
		return nil, claimcheck.ErrTooLarge
	}
	return data, nil
}

// Old implements [claimcheck.BlobStore]. It lists the whole prefix: a lifecycle rule of the bucket
// does the same for less.
func (s *Store) Old(ctx context.Context, before time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for object := range s.client.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix, Recursive: true}) {
			if object.Err != nil {
				yield("", object.Err)
				return
			}
			if object.LastModified.Before(before) && !yield(strings.TrimPrefix(object.Key, s.prefix), nil) {
				return
			}
		}
	}
}

// Delete implements [claimcheck.BlobStore].
func (s *Store) Delete(ctx context.Context, name string) error {
	return s.client.RemoveObject(ctx, s.bucket, s.prefix+name, minio.RemoveObjectOptions{})
}
