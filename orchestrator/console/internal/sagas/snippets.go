package sagas

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"waybill.example/orchestrator/httpapi"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/saga"
)

// curlOf is a command that reads a message from the relay.
func curlOf(m explain.SentMessage) string {
	return fmt.Sprintf(`curl -s "$RELAY_URL/v1/outbox/%s/rows/%d" -H "Authorization: Bearer $RELAY_TOKEN"`, url.PathEscape(m.Database), m.ID)
}

// sqlOf is a statement that appends the same message to an outbox: of a development stack, to try
// again what happened elsewhere. Consumers that have handled it leave it alone.
func sqlOf(m explain.SentMessage) string {
	headers, _ := json.Marshal(m.Headers) // text
	return fmt.Sprintf("insert into outbox (event_id, topic, key, type, payload, headers)\nvalues (%s, %s, %s, %s, %s, %s);",
		quoted(m.EventID.String()), quoted(m.Topic), quoted(m.Key), quoted(m.Type), bytea(m.Payload.Bytes()), quoted(string(headers)))
}

func quoted(s string) string {
	if strings.Contains(s, `\`) { // whatever standard_conforming_strings is
		return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// bytea is a payload: legible where it is text.
func bytea(b []byte) string {
	if utf8.Valid(b) && strings.IndexFunc(string(b), unicode.IsControl) < 0 {
		return "convert_to(" + quoted(string(b)) + ", 'UTF8')"
	}
	return "decode('" + hex.EncodeToString(b) + "', 'hex')"
}

// goString is a Go literal, raw where it can be.
func goString(s string) string {
	if strings.ContainsRune(s, '`') || strings.IndexFunc(s, unicode.IsControl) >= 0 {
		return strconv.Quote(s)
	}
	return "`" + s + "`"
}

// goOf is the line of a test with package sagatest that says what a message said; empty where it
// says nothing to the saga.
func goOf(m explain.SentMessage, all []explain.SentMessage, description saga.Description) string {
	if m.Cause != nil {
		for _, command := range all {
			if command.EventID == *m.Cause && command.Type != description.StartOn {
				return fmt.Sprintf("s.Reply(%q, %q, %s)", command.Type, m.Type, goString(string(m.Payload.Bytes())))
			}
		}
	}
	return fmt.Sprintf("s.Event(%q, %s)", m.Type, goString(string(m.Payload.Bytes())))
}

// testOf is a Go test that has a saga go the same way again. Definition is for who pastes it to
// say: the console does not know where it is in their code.
func testOf(s httpapi.Detail, messages []explain.SentMessage, description saga.Description) string {
	var b strings.Builder
	fmt.Fprintf(&b, "// Saga %s of %s version %d, as it went.\nfunc TestSaga_%s(t *testing.T) {\n\ts := sagatest.New(t, definition(t)) // %s, version %d\n",
		oneLine(s.ID), s.Definition, s.Version, identifier(s.Definition+"_"+s.ID), s.Definition, s.Version)
	replayable := true
	for _, l := range s.Timeline {
		line := lineOf(l.CauseType, l.Kind, messages, description)
		var types []string
		for _, c := range l.Commands {
			types = append(types, strconv.Quote(c.Type))
		}
		switch {
		case l.Kind == string(saga.Intervened):
			fmt.Fprintf(&b, "\t// %s by an operator: say here what they did.\n", l.CauseType)
			replayable = false
		case line == "":
			fmt.Fprintf(&b, "\t// %s, %s: its message is not in an outbox that could be asked.\n", l.Kind, oneLine(l.CauseType))
			replayable = false
		default:
			fmt.Fprintf(&b, "\t%s.Sends(%s)\n", line, strings.Join(types, ", "))
		}
	}
	if replayable {
		fmt.Fprintf(&b, "\ts.Is(%q)\n", s.State)
	}
	b.WriteString("}\n")
	return b.String()
}

// lineOf is what caused a transition.
func lineOf(cause, kind string, messages []explain.SentMessage, description saga.Description) string {
	if kind == string(saga.TimedOut) || kind == string(saga.TimePassed) {
		return "s.SkipToDeadline()"
	}
	for _, m := range messages {
		if m.Type == cause {
			return goOf(m, messages, description)
		}
	}
	return ""
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// identifier makes a name in Go of any text.
func identifier(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return '_'
	}, s)
}
