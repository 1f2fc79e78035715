package inbox

import (
	"crypto/sha256"
	"encoding/binary"
)

// digestOf hashes parts so that no two lists of parts are confused.
func digestOf(parts ...[]byte) [sha256.Size]byte {
	n := 0
	for _, part := range parts {
		n += 8 + len(part)
	}
	all := make([]byte, 0, n)
	for _, part := range parts {
		all = append(binary.BigEndian.AppendUint64(all, uint64(len(part))), part...)
	}
	return sha256.Sum256(all)
}

// digest is what must be the same whenever a message comes under one id: its type, key and content.
// A relay that sends it twice and a replay keep all three; a replay to another topic does, too.
func digest(d Delivery, content []byte) int64 {
	sum := digestOf([]byte(d.Header(headerType)), d.Key, content)
	return int64(binary.BigEndian.Uint64(sum[:8]))
}
