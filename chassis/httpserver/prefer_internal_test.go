package httpserver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPreferredWait_IsTheFirstThatIsNamed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fields []string
		want   time.Duration
		ok     bool
	}{
		"plain":                    {[]string{"wait=5"}, 5 * time.Second, true},
		"in any case":              {[]string{"WAIT=5"}, 5 * time.Second, true},
		"none":                     {nil, 0, false},
		"zero":                     {[]string{"wait=0"}, 0, true},
		"quoted":                   {[]string{`wait="5"`}, 5 * time.Second, true},
		"quoted and escaped":       {[]string{`wait="\5"`}, 5 * time.Second, true},
		"white space":              {[]string{" respond-async ,\twait = 7 "}, 7 * time.Second, true},
		"among others":             {[]string{`return=minimal; foo="some,wait=1;wait=2", wait=9, handling=lenient`}, 9 * time.Second, true},
		"in another field":         {[]string{"respond-async", "wait=4"}, 4 * time.Second, true},
		"with parameters":          {[]string{"wait=3; a=b"}, 3 * time.Second, true},
		"a parameter of another":   {[]string{"foo; wait=3"}, 0, false},
		"twice":                    {[]string{"wait=3, wait=4"}, 3 * time.Second, true},
		"twice in two fields":      {[]string{"wait=3", "wait=4"}, 3 * time.Second, true},
		"twice, the first invalid": {[]string{"wait=x, wait=4"}, 0, false},
		"no value":                 {[]string{"wait"}, 0, false},
		"an empty value":           {[]string{"wait="}, 0, false},
		"an empty quoted value":    {[]string{`wait=""`}, 0, false},
		"negative":                 {[]string{"wait=-1"}, 0, false},
		"with a sign":              {[]string{"wait=+1"}, 0, false},
		"a fraction":               {[]string{"wait=1.5"}, 0, false},
		"with a unit":              {[]string{"wait=5s"}, 0, false},
		"more than fits":           {[]string{"wait=99999999999999999999"}, maxDelta, true},
		"unfinished quotes":        {[]string{`wait="5`}, 0, false},
		"other scripts' digits":    {[]string{"wait=٥"}, 0, false},
		"empty members":            {[]string{",,;,=,wait=2"}, 2 * time.Second, true},
	} {
		wait, ok := preferredWait(tt.fields)
		require.Equal(t, tt.ok, ok, name)
		require.Equal(t, tt.want, wait, name)
	}
}

func FuzzPreferredWait_NeverPanicsAndIsBounded(f *testing.F) {
	f.Add(`respond-async, wait="5"; a="\",wait=7"`, "wait=9")
	f.Add(`wait="\`, `"`)
	f.Fuzz(func(t *testing.T, one, two string) {
		wait, ok := preferredWait([]string{one, two})
		require.True(t, wait >= 0 && wait <= maxDelta && (ok || wait == 0))
	})
}
