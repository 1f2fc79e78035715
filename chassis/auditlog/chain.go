package auditlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Chain checks the entries of one database, one after the other, from the first. The zero value is
// a chain that has not begun; one that was kept from an earlier check says how the log has to go
// on, and so that no entry was removed from its end. It is not safe for concurrent use.
type Chain struct {
	Seq  int64
	Hash []byte
}

// ParseChain reads a chain as String writes it.
func ParseChain(s string) (c Chain, err error) {
	seq, hash, _ := strings.Cut(s, ":")
	if c.Seq, err = strconv.ParseInt(seq, 10, 64); err == nil {
		c.Hash, err = hex.DecodeString(hash)
	}
	if err != nil || c.Seq < 1 || len(c.Hash) != sha256.Size {
		return Chain{}, fmt.Errorf("%q is not the end of a chain, as audit-log verify prints it: NUMBER:HASH", s)
	}
	return c, nil
}

// String returns the number of the last entry and its hash: 41:9f86d0….
func (c Chain) String() string {
	return strconv.FormatInt(c.Seq, 10) + ":" + hex.EncodeToString(c.Hash)
}

// ErrHidden is why an entry cannot be checked: its hash is of more than is shown.
var ErrHidden = errors.New("has fields that are hidden from you")

// Follow checks that r is the next entry of the chain and is what was recorded, and says what is
// wrong if it is not: [ErrHidden] says that it may be.
func (c *Chain) Follow(r Record) error {
	switch {
	case r.Seq != c.Seq+1:
		return fmt.Errorf("entry %d follows entry %d: what was between them is missing", r.Seq, c.Seq)
	case !bytes.Equal(r.Previous, c.Hash):
		return fmt.Errorf("entry %d was not recorded after entry %d as that is now: one of them was changed or replaced", r.Seq, c.Seq)
	case r.Masked:
		return fmt.Errorf("entry %d %w; verify with a token whose role sees them", r.Seq, ErrHidden)
	case !bytes.Equal(r.Hash, r.sum()):
		return fmt.Errorf("entry %d is not what was recorded: it was changed", r.Seq)
	}
	c.Seq, c.Hash = r.Seq, r.Hash
	return nil
}

// sum is the hash that the function audit_log_chain of the schema makes: SHA-256 over the previous
// hash and the fields, each behind its length, so that no two lists of fields look alike.
func (r Record) sum() []byte {
	h := sha256.New()
	h.Write(r.Previous)
	fields := []string{
		strconv.FormatInt(r.Seq, 10), strconv.FormatInt(r.At.UnixMicro(), 10), r.Actor, r.Client, r.DBRole, r.DBClient,
		r.Action, r.Object, r.Reason,
	}
	for i, field := range fields {
		if i > 0 {
			h.Write([]byte{','})
		}
		fmt.Fprintf(h, "%d:%s", len(field), field)
	}
	for _, document := range [][]byte{r.Before, r.After} {
		if len(document) == 0 || string(document) == "null" { // null is not recorded as a value
			h.Write([]byte(",-"))
			continue
		}
		fmt.Fprintf(h, ",%d:%s", len(document), document)
	}
	fmt.Fprintf(h, ",%d:%s", len(r.Result), r.Result)
	return h.Sum(nil)
}
