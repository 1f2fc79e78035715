// Package idempotency has what services share to carry out a request once, however often its client
// sends it: the digest that tells one request from another, and the error for a key that comes with
// two of them.
//
// The key itself is kept by the service, in the transaction of the request's effect; its header is
// httpserver.Keyed. The package is pure, so that a domain may use it.
package idempotency

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// ErrKeyReused says that an idempotency key came before, with another request.
var ErrKeyReused = errors.New("the idempotency key was used for another request")

// Digest tells one request from another. Two requests with the same fields have the same digest,
// however their bodies were written.
type Digest [sha256.Size]byte

// Sum returns the digest of a request's fields, the first of which says what kind of request it is.
// Each is hashed behind its length, so that no two lists of fields look alike.
func Sum(fields ...string) (sum Digest) {
	h := sha256.New()
	for _, field := range fields {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(field))))
		h.Write([]byte(field))
	}
	h.Sum(sum[:0])
	return sum
}
