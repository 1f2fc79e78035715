package inbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/payload"
	"waybill.example/sdk/payload/claimcheck"
	"waybill.example/sdk/payload/encryption"
)

// encrypting is a codec with a keyring of the given keys, the first of which is primary, and the
// keyring's path.
func encrypting(t *testing.T, ids ...string) (codec *encryption.Codec, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "keyring.json")
	writeKeyring(t, path, ids...)
	keys, err := encryption.OpenKeyring(path)
	require.NoError(t, err)
	codec, err = encryption.New(encryption.Config{Keys: keys})
	require.NoError(t, err)
	return codec, path
}

func writeKeyring(t *testing.T, path string, ids ...string) {
	t.Helper()
	keys := map[string][]byte{}
	for _, id := range ids {
		keys[id] = make([]byte, 32)
		copy(keys[id], id)
	}
	text, err := json.Marshal(map[string]any{"primary": ids[0], "keys": keys})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+".new", text, 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// sent is a message as the relay would have sent it.
func sent(t *testing.T, codec payload.Codec, offset int64, key, value string) inbox.Delivery {
	t.Helper()
	d := keyed(offset, key, value)
	id := uuid.NewSHA1(uuid.NameSpaceOID, d.Value)
	d.Headers = []inbox.Header{{Key: "ce_id", Value: []byte(id.String())}, {Key: "ce_type", Value: []byte("T")}}
	d, err := inbox.EncodePayload(t.Context(), codec, d)
	require.NoError(t, err)
	return d
}

// open are the dead letters and parked messages, in their order.
func (p *parking) open(t *testing.T) []deadletter.Letter {
	t.Helper()
	rows, err := p.pool.Query(t.Context(), "select id from dead_letters order by place, id")
	require.NoError(t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	require.NoError(t, err)
	letters := make([]deadletter.Letter, len(ids))
	for i, id := range ids {
		letters[i], err = p.letters.Get(t.Context(), id)
		require.NoError(t, err)
	}
	return letters
}

func (p *parking) redriveFirst(t *testing.T) {
	t.Helper()
	l, err := p.letters.Redrive(t.Context(), p.open(t)[0].ID, deadletter.Change{})
	require.NoError(t, err)
	require.NoError(t, p.redrive.RunQueue(t.Context(), *l.KeyID))
}

// A key that is missing is a matter of this process: the message is set aside as it came, still
// encrypted, for that reason, its key waits, and once the key is there a redrive applies them. No
// plaintext is stored in between.
func TestPayloads_AMissingKeyIsADeadLetterUntilTheKeyIsThere(t *testing.T) {
	t.Parallel()
	sender, _ := encrypting(t, "k2")
	receiver, path := encrypting(t, "k1")
	p := newParking(t)
	p.Payloads = receiver
	p.redrive = p.Redriver(nil)

	outcome := p.process(t, sent(t, sender, 1, "a", "a1"), sent(t, nil, 2, "a", "a2"), sent(t, receiver, 3, "b", "b1"))
	require.Equal(t, inbox.Outcome{Applied: 1, DeadLettered: 1, Parked: 1}, outcome)
	require.Equal(t, []string{"b1"}, p.applied(t))
	letter := p.open(t)[0]
	require.Equal(t, `decode the payload: the payload is encrypted with the key "k2", which this consumer does not have`, letter.Reason)
	require.Equal(t, "decode the payload: the payload is encrypted with the key …, which this consumer does not have", letter.Cause)
	require.NotContains(t, string(letter.Payload), "a1")

	p.redriveFirst(t)
	require.Equal(t, []string{"b1"}, p.applied(t), "the key is missing still")
	require.Equal(t, 2, p.open(t)[0].Failures)

	writeKeyring(t, path, "k1", "k2")
	p.redriveFirst(t)
	require.Equal(t, []string{"b1", "a1", "a2"}, p.applied(t))
	require.Equal(t, inbox.Outcome{Duplicates: 3}, p.process(t,
		sent(t, sender, 1, "a", "a1"), sent(t, nil, 2, "a", "a2"), sent(t, receiver, 4, "b", "b1")),
		"encrypted again, or not at all, it is the same message")
}

// The copy for the dead letter topic is what was received, and anyone who has the key can read it
// there.
func TestPayloads_ADeadLetterKeepsWhatWasReceived(t *testing.T) {
	t.Parallel()
	codec, _ := encrypting(t, "k1")
	p := newParking(t)
	p.Payloads = codec
	p.refused["a1"] = errors.New("no")
	require.Equal(t, inbox.Outcome{DeadLettered: 1}, p.process(t, sent(t, codec, 1, "a", "a1")))
	require.NotContains(t, string(p.open(t)[0].Payload), "a1")

	var copied inbox.Delivery
	var headers map[string]string
	var id, kind string
	require.NoError(t, p.pool.QueryRow(t.Context(), `select topic, key::bytea, payload, headers, event_id::text, type from outbox`).
		Scan(&copied.Topic, &copied.Key, &copied.Value, &headers, &id, &kind))
	require.NotContains(t, string(copied.Value), "a1")
	headers["ce_id"], headers["ce_type"] = id, kind
	for name, value := range headers {
		copied.Headers = append(copied.Headers, inbox.Header{Key: name, Value: []byte(value)})
	}
	read, err := inbox.DecodePayload(t.Context(), codec, copied)
	require.NoError(t, err)
	require.Equal(t, "a1", string(read.Value))
}

func TestPayloads_WhatIsCausedIsEncrypted(t *testing.T) {
	t.Parallel()
	codec, _ := encrypting(t, "k1")
	p := newParking(t)
	p.Payloads = codec
	p.Apply = func(_ context.Context, _ *inbox.Tx, _ *struct{}, batch []inbox.Received[string]) ([]outbox.Message, error) {
		return []outbox.Message{{Topic: "t2", Key: "a", Type: "Done", Payload: batch[0].Delivery.Value}}, nil
	}
	p.process(t, sent(t, codec, 1, "a", "a1"))
	m := payload.Message{Topic: "t2", Key: "a", Type: "Done"}
	require.NoError(t, p.pool.QueryRow(t.Context(), `select event_id, payload, headers from outbox`).Scan(&m.ID, &m.Value, &m.Headers))
	require.NotContains(t, string(m.Value), "a1")
	read, err := codec.Decode(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, "a1", string(read.Value))
}

// A blob that is missing is a reason of its own, and redriven once it is back.
func TestPayloads_AMissingBlobIsADeadLetterUntilItIsBack(t *testing.T) {
	t.Parallel()
	store, err := claimcheck.OpenDir(t.TempDir())
	require.NoError(t, err)
	defer func() { _ = store.Close() }()
	checks, err := claimcheck.New(claimcheck.Config{Store: store, Threshold: 1})
	require.NoError(t, err)
	p := newParking(t)
	p.Payloads = checks
	p.redrive = p.Redriver(nil)
	large := sent(t, checks, 1, "a", "a1")
	require.Empty(t, large.Value)
	require.NoError(t, store.Delete(t.Context(), large.Header(payload.HeaderDataRef)))
	require.Equal(t, inbox.Outcome{DeadLettered: 1}, p.process(t, large))
	require.Equal(t, "decode the payload: the payload is not in the blob store: … is missing", p.open(t)[0].Cause)

	require.NoError(t, store.Put(t.Context(), large.Header(payload.HeaderDataRef), []byte("a1")))
	p.redriveFirst(t)
	require.Equal(t, []string{"a1"}, p.applied(t))
}

// unavailable is a codec whose service does not answer.
type unavailable struct{ payload.Codec }

func (unavailable) Decode(context.Context, payload.Message) (payload.Message, error) {
	return payload.Message{}, payload.ErrUnavailable
}

// A service that does not answer makes the consumer wait, and a redrive too: nothing is set aside.
func TestPayloads_WhatIsUnavailableIsNoDeadLetter(t *testing.T) {
	t.Parallel()
	codec, _ := encrypting(t, "k1")
	p := newParking(t)
	p.Payloads = unavailable{codec}
	require.ErrorIs(t, p.Process(t.Context(), []inbox.Delivery{sent(t, codec, 1, "a", "a1")}), payload.ErrUnavailable)
	require.Empty(t, p.open(t))

	p.Payloads, p.refused["a1"] = codec, errors.New("no")
	p.process(t, sent(t, codec, 1, "a", "a1"))
	p.Payloads = unavailable{codec}
	redrive := p.Redriver(nil)
	l, err := p.letters.Redrive(t.Context(), p.open(t)[0].ID, deadletter.Change{})
	require.NoError(t, err)
	require.ErrorIs(t, redrive.RunQueue(t.Context(), *l.KeyID), payload.ErrUnavailable)
	require.Equal(t, deadletter.Parked, p.open(t)[0].State, "it waits for its turn")
	require.Equal(t, 1, p.open(t)[0].Failures)
}

// A message of another's is skipped before its payload is decoded: this consumer need not have the
// key, and nobody who could decode it has to answer. Its position moves all the same.
func TestKeep_WhatIsNotKeptIsSkippedUndecoded(t *testing.T) {
	t.Parallel()
	codec, _ := encrypting(t, "k1")
	p := newParking(t)
	p.Payloads = unavailable{codec}
	p.Keep = func(d inbox.Delivery) bool { return string(d.Key) == "mine" }
	require.Equal(t, inbox.Outcome{Skipped: 2}, p.process(t, sent(t, codec, 1, "other", "a"), sent(t, codec, 2, "another", "b")))
	p.Payloads = codec
	require.Equal(t, inbox.Outcome{Applied: 1, Skipped: 1}, p.process(t, sent(t, codec, 3, "other", "c"), sent(t, codec, 4, "mine", "d")))
	require.Equal(t, []string{"d"}, p.applied(t))
	require.Empty(t, p.open(t))
}
