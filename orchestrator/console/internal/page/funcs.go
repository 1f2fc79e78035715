package page

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"waybill.example/chassis/admin"
)

// functions are what templates can use, besides those of html/template.
func functions(prefix string, a *assets) template.FuncMap {
	return template.FuncMap{
		"url":      func(format string, args ...any) string { return prefix + Path(format, args...) },
		"base":     func() string { return prefix },
		"asset":    func(name string) string { return prefix + a.url(name) },
		"num":      number,
		"dur":      duration,
		"ms":       func(ms float64) string { return duration(time.Duration(ms * float64(time.Millisecond))) },
		"state":    stateOf,
		"dict":     dict,
		"pretty":   pretty,
		"role":     role,
		"plural":   plural,
		"join":     strings.Join,
		"list":     func(items ...any) []any { return items },
		"lower":    strings.ToLower,
		"contains": strings.Contains,
	}
}

// Path fills the verbs of format with arguments that are made safe for one segment of a path.
func Path(format string, args ...any) string {
	for i, a := range args {
		switch a.(type) {
		case int, int32, int64: // for %d
		default:
			args[i] = url.PathEscape(fmt.Sprint(a))
		}
	}
	return fmt.Sprintf(format, args...)
}

// number groups thousands with a thin space, so that digits stay aligned.
func number(v any) (string, error) {
	var s string
	switch n := v.(type) {
	case int:
		s = strconv.Itoa(n)
	case int32:
		s = strconv.FormatInt(int64(n), 10)
	case int64:
		s = strconv.FormatInt(n, 10)
	case uint64:
		s = strconv.FormatUint(n, 10)
	case float64:
		if n != math.Trunc(n) && math.Abs(n) < 100 {
			return strconv.FormatFloat(n, 'f', 1, 64), nil
		}
		s = strconv.FormatFloat(n, 'f', 0, 64)
	default:
		return "", fmt.Errorf("%T is no number", v)
	}
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "−", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return sign + s, nil
}

// Duration is a time span as people read it.
func Duration(d time.Duration) string { return duration(d) }

// duration is a time span with two parts at most: 3 d 4 h, 12.3 s, 38 ms.
func duration(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "−", -d
	}
	short := func(n float64, unit string) string {
		if n < 10 {
			return sign + strings.TrimSuffix(strconv.FormatFloat(n, 'f', 1, 64), ".0") + "\u00a0" + unit
		}
		return sign + strconv.FormatFloat(n, 'f', 0, 64) + "\u00a0" + unit
	}
	two := func(n time.Duration, unit string, rest time.Duration, small string) string {
		if rest == 0 {
			return fmt.Sprintf("%s%d\u00a0%s", sign, n, unit)
		}
		return fmt.Sprintf("%s%d\u00a0%s %d\u00a0%s", sign, n, unit, rest, small)
	}
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "0\u00a0s"
	case d < time.Millisecond:
		return short(float64(d)/float64(time.Microsecond), "µs")
	case d < time.Second:
		return short(float64(d)/float64(time.Millisecond), "ms")
	case d < time.Minute:
		return short(d.Seconds(), "s")
	case d < time.Hour:
		return two(d/time.Minute, "min", d%time.Minute/time.Second, "s")
	case d < day:
		return two(d/time.Hour, "h", d%time.Hour/time.Minute, "min")
	}
	return two(d/day, "d", d%day/time.Hour, "h")
}

// stateOf is the class of a state's badge: what it means to people, whatever a definition
// calls its ends.
func stateOf(state string) string {
	switch strings.ToUpper(state) {
	case "RUNNING", "LEADING", "STARTED":
		return "active"
	case "COMPENSATING", "PARKED", "PENDING", "PAUSED", "AWAITING_START", "CONNECTING", "QUEUED":
		return "warn"
	case "COMPENSATION_STUCK", "STUCK", "DEAD", "FAILED", "OVERDUE", "FROZEN", "UNAVAILABLE", "UNREACHABLE", "NOT READY":
		return "bad"
	case "SUSPENDED":
		return "held"
	case "CONFIRMED", "COMPLETED", "DONE", "OK", "READY", "PUBLISHED", "REDRIVEN", "SUCCEEDED":
		return "good"
	}
	return "over"
}

// dict makes the dot of a part out of names and values.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("a name without a value")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("%v is no name", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// pretty indents JSON. It changes no number, however large, and leaves what is no JSON as it is.
func pretty(v any) string {
	text := fmt.Sprint(v)
	if raw, ok := v.(json.RawMessage); ok {
		text = string(raw)
	}
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") != nil {
		return text
	}
	return b.String()
}

// role reads the name of a role in a template.
func role(name string) (admin.Role, error) {
	for r := admin.Nobody; r <= admin.Admin; r++ {
		if r.String() == name {
			return r, nil
		}
	}
	return 0, fmt.Errorf("there is no role %q", name)
}

// plural is a number with its noun.
func plural(n any, one, many string) (string, error) {
	s, err := number(n)
	if s == "1" {
		return s + " " + one, err
	}
	return s + " " + many, err
}
