package tracecontext_test

import (
	"fmt"
	"strings"
	"testing"

	"waybill.example/sdk/tracecontext"
)

const sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestParse_PassesOnWhatTheSpecificationAllows(t *testing.T) {
	t.Parallel()
	for _, valid := range []string{
		sampled,
		strings.Replace(sampled, "-01", "-00", 1),
		"cc" + sampled[2:],                      // a later version that looks like 00
		"cc" + sampled[2:] + "-what-comes-next", // and one with more fields
		"01" + sampled[2:] + "-",
	} {
		if got := tracecontext.Parse(valid); got != valid {
			t.Errorf("Parse(%q) = %q", valid, got)
		}
	}
}

func TestParse_DropsWhatIsMalformed(t *testing.T) {
	t.Parallel()
	for problem, received := range map[string]string{
		"empty":                     "",
		"text":                      "not a trace",
		"version ff":                "ff" + sampled[2:],
		"upper case":                strings.ToUpper(sampled),
		"no version":                sampled[3:],
		"short":                     sampled[:54],
		"version 00 with a suffix":  sampled + "-more",
		"suffix without a hyphen":   "cc" + sampled[2:] + ".more",
		"suffix with a space":       "cc" + sampled[2:] + "-a b",
		"suffix that is not ASCII":  "cc" + sampled[2:] + "-\xff",
		"suffix that is too long":   "cc" + sampled[2:] + "-" + strings.Repeat("0", 100_000),
		"trace id of zeros":         "00-" + strings.Repeat("0", 32) + sampled[35:],
		"parent id of zeros":        sampled[:36] + strings.Repeat("0", 16) + "-01",
		"NUL":                       sampled[:54] + "\x00",
		"another separator":         strings.ReplaceAll(sampled, "-", "_"),
		"flags that are not digits": sampled[:53] + "zz",
	} {
		if got := tracecontext.Parse(received); got != "" {
			t.Errorf("%s: Parse(%q) = %q", problem, received, got)
		}
	}
}

func TestSet_TakesNilAndKeepsOtherHeaders(t *testing.T) {
	t.Parallel()
	if got := tracecontext.Set(nil, ""); got != nil {
		t.Errorf("no traceparent made headers: %v", got)
	}
	if got := tracecontext.Set(nil, sampled); len(got) != 1 || got["traceparent"] != sampled {
		t.Errorf("got %v", got)
	}
	got := tracecontext.Set(map[string]string{"ce_causationid": "1"}, sampled)
	if len(got) != 2 || got["ce_causationid"] != "1" || got["traceparent"] != sampled {
		t.Errorf("got %v", got)
	}
}

func ExampleSet() {
	received := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	fmt.Println(tracecontext.Set(nil, tracecontext.Parse(received)))
	fmt.Println(tracecontext.Set(nil, tracecontext.Parse("garbage")))
	// Output:
	// map[traceparent:00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01]
	// map[]
}
