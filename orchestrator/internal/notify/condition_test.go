package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// told runs decide over a series of looks, a minute apart, and returns what is reported at each.
func told(looks ...[]Condition) (all []string) {
	var open []Episode
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, look := range looks {
		asked := []string{"sagas"}
		if look == nil {
			asked = nil
		}
		var tell []Notification
		open, tell = decide(open, look, asked, now, 90*time.Second)
		var kinds []string
		for _, n := range tell {
			kinds = append(kinds, strings.TrimPrefix(n.Type, "example.waybill.attention."))
		}
		all = append(all, strings.Join(kinds, ","))
		now = now.Add(time.Minute)
	}
	return all
}

func some(count int64, urgent bool) []Condition {
	return []Condition{{Key: "k", Source: "sagas", Subject: fmt.Sprint(count), Count: count, Urgent: urgent}}
}

func TestDecide_ReportsOnceWhatLasts(t *testing.T) {
	t.Parallel()
	none, unasked := []Condition{}, []Condition(nil)
	for name, tt := range map[string]struct {
		looks [][]Condition
		want  []string
	}{
		"what does not pass is reported at once":       {[][]Condition{some(1, true), some(2, true), some(9, true)}, []string{"needed", "", ""}},
		"what may pass is reported when it lasts":      {[][]Condition{some(1, false), some(1, false), some(1, false), some(1, false)}, []string{"", "", "needed", ""}},
		"what passes soon is never told":               {[][]Condition{some(1, false), none, none}, []string{"", "", ""}},
		"its end is reported":                          {[][]Condition{some(1, true), none, none}, []string{"needed", "resolved", ""}},
		"what comes again is reported again":           {[][]Condition{some(1, true), none, some(1, true)}, []string{"needed", "resolved", "needed"}},
		"what grows tenfold is reported again":         {[][]Condition{some(3, true), some(29, true), some(30, true), some(31, true)}, []string{"needed", "", "needed", ""}},
		"what cannot be asked has not ended":           {[][]Condition{some(1, true), unasked, unasked, some(1, true), none}, []string{"needed", "", "", "", "resolved"}},
		"what has shrunk and grown again is no growth": {[][]Condition{some(30, true), some(1, true), some(20, true)}, []string{"needed", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, told(tt.looks...))
		})
	}
}

func TestEvent_IsACloudEvent(t *testing.T) {
	t.Parallel()
	c := Condition{Key: "sagas/x", Subject: "2 sagas", Count: 2, Detail: Detail{Summary: "Two.", Commands: []string{"waybill explain 1"}}}
	n := needed(c, Episode{}, time.Now())
	var event struct {
		Specversion, ID, Source, Type, Subject, Datacontenttype string
		Time                                                    time.Time
		Data                                                    struct {
			Summary  string
			Count    int
			Commands []string
		}
	}
	require.NoError(t, json.Unmarshal(n.Event, &event))
	require.Equal(t, []string{"1.0", n.ID.String(), TypeNeeded, "sagas/x"}, []string{event.Specversion, event.ID, event.Type, event.Subject})
	require.Equal(t, "Two.", event.Data.Summary)
	require.Equal(t, 2, event.Data.Count)
	require.Len(t, event.Data.Commands, 1)
	require.False(t, event.Time.IsZero())
}
