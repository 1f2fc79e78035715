// Package tracecontext passes a W3C traceparent on, from the message or request that was received
// to the messages that it causes, so that they belong to one trace
// (https://www.w3.org/TR/trace-context/). It takes no part in the trace: it starts no span and
// changes no flag.
package tracecontext

// Header is the name of the header, in HTTP and in Kafka.
const Header = "traceparent"

// length is that of version 00: 2 hex digits of version, 32 of trace id, 16 of parent id and 2 of
// flags, with a hyphen between each two. Later versions begin alike.
const length = 55

// maxLength bounds what a later version may have behind that; it is passed on with every message.
const maxLength = 128

// Parse returns a received traceparent, or "" where it is malformed, so that nothing else is passed
// on: the version must not be ff, the ids must not be all zeros, and only versions after 00 may
// have more fields.
func Parse(received string) string {
	if len(received) < length || len(received) > maxLength {
		return ""
	}
	version, trace, parent, flags := received[:2], received[3:35], received[36:52], received[53:55]
	if received[2] != '-' || received[35] != '-' || received[52] != '-' {
		return ""
	}
	if !hex(version) || version == "ff" || !id(trace) || !id(parent) || !hex(flags) {
		return ""
	}
	if rest := received[length:]; rest != "" && (version == "00" || rest[0] != '-' || !visible(rest)) {
		return ""
	}
	return received
}

// TraceID returns the trace id of a received traceparent, 32 hex digits, for a log; "" where
// [Parse] returns "".
func TraceID(received string) string {
	if received = Parse(received); received == "" {
		return ""
	}
	return received[3:35]
}

// Set adds a traceparent that [Parse] returned to the headers of a message, and returns them. ""
// adds nothing; headers may be nil.
func Set(headers map[string]string, traceparent string) map[string]string {
	if traceparent == "" {
		return headers
	}
	if headers == nil {
		headers = make(map[string]string, 1)
	}
	headers[Header] = traceparent
	return headers
}

// hex says whether s is made of lower-case hex digits.
func hex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// id says whether s is made of lower-case hex digits that are not all 0.
func id(s string) bool {
	zeros := true
	for i := range len(s) {
		zeros = zeros && s[i] == '0'
	}
	return hex(s) && !zeros
}

// visible says whether s is made of printable ASCII without a space.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
