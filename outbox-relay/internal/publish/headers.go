package publish

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/uuid"

	"waybill.example/outbox-relay/internal/source"
)

// CloudEvents 1.0 in Kafka's binary mode. They come first, in this order.
const (
	headerSpecVersion = "ce_specversion"
	headerID          = "ce_id"
	headerSource      = "ce_source"
	headerType        = "ce_type"
	headerTime        = "ce_time"
	headerContentType = "content-type"
)

var (
	specVersion     = []byte("1.0")
	jsonContentType = []byte("application/json")
)

// encoder makes a row's headers in memory that it uses again for the next row.
type encoder struct {
	source  []byte
	headers []kafka.Header
	scratch []byte
	names   map[string]string
}

func newEncoder(database string) *encoder {
	return &encoder{source: []byte("/waybill/" + database), names: map[string]string{}}
}

const (
	uuidLength = 36
	maxNames   = 1024
)

// encode returns the headers of a row, valid until the next call, or a *PermanentError if the row's
// own are not pairs of strings. A row may name its content type; the CloudEvents attributes are the
// relay's.
func (e *encoder) encode(row *source.Row) ([]kafka.Header, error) {
	id := uuid.UUID(row.EventID)
	e.scratch = append(e.scratch[:0], id.String()...)
	e.scratch = row.CreatedAt().AppendFormat(e.scratch, time.RFC3339Nano)
	e.headers = append(e.headers[:0],
		kafka.Header{Key: headerSpecVersion, Value: specVersion},
		kafka.Header{Key: headerID, Value: e.scratch[:uuidLength:uuidLength]},
		kafka.Header{Key: headerSource, Value: e.source},
		kafka.Header{Key: headerType, Value: []byte(row.Type)},
		kafka.Header{Key: headerTime, Value: e.scratch[uuidLength:]},
		kafka.Header{Key: headerContentType, Value: jsonContentType},
	)
	if len(row.Headers) <= len("{}") {
		return e.headers, nil
	}
	if e.plain(row.Headers) {
		return e.headers, nil
	}
	e.headers = e.headers[:6]
	return e.any(row.Headers)
}

// plain adds the headers of an object as Postgres writes it, if no string in it has an escape: then
// names and values can be used where they are. It says whether that was so.
func (e *encoder) plain(object []byte) bool {
	rest := object[1:]
	for {
		name, after, ok := plainString(rest)
		if !ok {
			return false
		}
		after, ok = bytes.CutPrefix(after, []byte(": "))
		if !ok {
			return false
		}
		value, after, ok := plainString(after)
		if !ok {
			return false
		}
		e.add(e.name(name), value)
		if len(after) == 1 && after[0] == '}' {
			return true
		}
		if rest, ok = bytes.CutPrefix(after, []byte(", ")); !ok {
			return false
		}
	}
}

// plainString cuts a string without escapes from the front of text.
func plainString(text []byte) (value, after []byte, ok bool) {
	if len(text) < 2 || text[0] != '"' {
		return nil, nil, false
	}
	end := bytes.IndexByte(text[1:], '"')
	if end < 0 {
		return nil, nil, false
	}
	value = text[1 : 1+end]
	return value, text[end+2:], bytes.IndexByte(value, '\\') < 0
}

// any adds the headers of any JSON object of strings, in the order of their names.
func (e *encoder) any(object []byte) ([]kafka.Header, error) {
	var pairs map[string]*string
	if err := json.Unmarshal(object, &pairs); err != nil {
		return nil, badHeaders(err.Error())
	}
	if pairs == nil {
		return nil, badHeaders("they are null")
	}
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		if pairs[name] == nil {
			return nil, badHeaders(strconv.Quote(name) + " is null")
		}
		e.add(name, []byte(*pairs[name]))
	}
	return e.headers, nil
}

func badHeaders(why string) error {
	return &PermanentError{Code: "BAD_HEADERS", Reason: "the column headers must hold pairs of strings: " + why}
}

func (e *encoder) add(name string, value []byte) {
	switch name {
	case headerSpecVersion, headerID, headerSource, headerType, headerTime:
	case headerContentType:
		e.headers[5].Value = value
	default:
		e.headers = append(e.headers, kafka.Header{Key: name, Value: value})
	}
}

// name keeps one copy of each header's name: there are few of them.
func (e *encoder) name(text []byte) string {
	if name, ok := e.names[string(text)]; ok {
		return name
	}
	if len(e.names) >= maxNames {
		clear(e.names)
	}
	name := string(text)
	e.names[name] = name
	return name
}
