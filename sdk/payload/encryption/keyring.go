package encryption

import (
	"bytes"
	"context"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"time"
)

// Keyring is key-encryption keys in a file, as [Keys]. The file is JSON:
//
//	{
//	  "primary": "2026-11",
//	  "topics": {"payments.v1": "payments-1"},
//	  "keys": {
//	    "2026-11":    "…32 bytes in base64…",
//	    "2026-05":    "…",
//	    "payments-1": "…"
//	  }
//	}
//
// New data keys are encrypted with the primary key, or that of their topic; all keys decrypt. To
// rotate: add a key to the file of every process, then make it the primary one, and remove the old
// one when no message, outbox row or dead letter needs it any more. The file is read again when it
// has changed, so no process has to be restarted.
//
// The file must be readable by its owner only (mode 0600 or 0400). It is safe for concurrent use.
type Keyring struct {
	path string

	mu     sync.Mutex
	read   stamp
	loaded keys
}

// stamp tells one version of a file from another.
type stamp struct {
	at   time.Time
	size int64
}

type keys struct {
	primary string
	topics  map[string]string
	aeads   map[string]cipher.AEAD
}

// OpenKeyring reads a keyring file.
func OpenKeyring(path string) (*Keyring, error) {
	k := &Keyring{path: path}
	if err := k.refresh(); err != nil {
		return nil, err
	}
	return k, nil
}

// refresh reads the file if it is not what was read.
func (k *Keyring) refresh() error {
	info, err := os.Stat(k.path)
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	if is := (stamp{info.ModTime(), info.Size()}); is != k.read {
		loaded, err := readKeys(k.path, info.Mode())
		if err != nil {
			return fmt.Errorf("keyring %s: %w", k.path, err)
		}
		k.loaded, k.read = loaded, is
	}
	return nil
}

func readKeys(path string, mode fs.FileMode) (keys, error) {
	// A group may read it: Kubernetes mounts a Secret so, for a process that is not root.
	if runtime.GOOS != "windows" && mode.Perm()&0o037 != 0 {
		return keys{}, fmt.Errorf("others than its owner and group may read it (mode %04o): chmod 600", mode.Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return keys{}, err
	}
	var file struct {
		Primary string            `json:"primary"`
		Topics  map[string]string `json:"topics"`
		Keys    map[string][]byte `json:"keys"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return keys{}, errors.New("it is not a keyring: JSON with primary, topics and keys, which are base64") // the error might quote a key
	}
	loaded := keys{primary: file.Primary, topics: file.Topics, aeads: make(map[string]cipher.AEAD, len(file.Keys))}
	for id, key := range file.Keys {
		if id == "" {
			return keys{}, errors.New("a key has no id")
		}
		if loaded.aeads[id], err = newAEAD(key); err != nil {
			return keys{}, fmt.Errorf("key %q: %w", id, err)
		}
	}
	for _, id := range file.Topics {
		if loaded.aeads[id] == nil {
			return keys{}, fmt.Errorf("a topic has the key %q, which is not in it", id)
		}
	}
	if loaded.aeads[file.Primary] == nil {
		return keys{}, fmt.Errorf("the primary key %q is not in it", file.Primary)
	}
	return loaded, nil
}

// Wrap implements [Keys]. A file that has become unreadable, as for a moment while it is written,
// leaves the keys that were read before.
func (k *Keyring) Wrap(_ context.Context, topic string, dataKey []byte) (Wrapped, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.refresh()
	id, ok := k.loaded.topics[topic]
	if !ok {
		id = k.loaded.primary
	}
	return Wrapped{id, k.loaded.aeads[id].Seal(nil, nil, dataKey, wrapContext(topic, id))}, nil //nolint:gosec // it draws its nonces itself
}

// Unwrap implements [Keys].
func (k *Keyring) Unwrap(_ context.Context, topic string, w Wrapped) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.refresh() // a key may have been added, or replaced
	aead := k.loaded.aeads[w.KeyID]
	if aead == nil {
		return nil, &KeyError{KeyID: w.KeyID}
	}
	key, err := aead.Open(nil, nil, w.Key, wrapContext(topic, w.KeyID))
	if err != nil {
		return nil, &KeyError{KeyID: w.KeyID, Wrong: true}
	}
	return key, nil
}

// wrapContext is what a data key is bound to.
func wrapContext(topic, id string) []byte {
	return fmt.Appendf(nil, "waybill data key 1\x00%d:%s%s", len(topic), topic, id)
}
