// Package contracts is what travels between Waybill's services: topics, consumer groups, header
// names, and the JSON of every event and command.
//
// It exists so that producer and consumer cannot drift apart: both compile against it, and the
// golden files under testdata pin every message's bytes. It does no I/O and imports nothing of the
// project but chassis/plaintext, which imports nothing. The same messages are described for other
// languages in asyncapi.yaml and schemas/.
//
// A message is a struct that embeds [Envelope]. [Encode] validates one and turns it into a
// [Record], ready for an outbox; [Decode] turns received bytes back. Decoding is strict about what
// Waybill needs (missing or invalid fields are refused by name, see [FieldError]) and lenient about
// what it does not (unknown fields are ignored), so that producers may add fields first.
package contracts
