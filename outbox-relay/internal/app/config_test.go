package app

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
)

// The inbox remembers whatever a replay can send again.
func TestTheInboxIsNotForgottenBeforeTheOutbox(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, tt := range []struct {
		outbox, inbox time.Duration
		fault         string
	}{
		{7 * day, 30 * day, ""},
		{7 * day, 7 * day, ""},
		{7 * day, 0, ""},
		{0, 0, ""},
		{7 * day, 6 * day, "RELAY_INBOX_RETENTION (144h0m0s) must not be shorter than RELAY_RETENTION (168h0m0s)"},
		{0, 30 * day, "RELAY_INBOX_RETENTION must be 0"},
		{7 * day, -1, "RELAY_INBOX_RETENTION must not be negative"},
	} {
		c := DefaultConfig()
		c.Retention, c.InboxRetention = tt.outbox, tt.inbox
		err := errors.Join(c.Validate()...)
		if tt.fault == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, tt.fault)
	}
}

func TestDatabases_AreToldApartWhateverTheirURLsHold(t *testing.T) {
	t.Parallel()
	const orders, several = "postgres://u:p@h/orders", "postgresql://u:p,;=x@h1:1,h2:2/inventory?target_session_attrs=read-write"
	want := []database{{"orders", orders}, {"inventory", several}, {"a-b", "postgres://h/c"}}
	for _, separator := range []string{",", ";", " ", "\n", ", ", ";\n", "\t"} {
		list := "orders=" + orders + separator + "inventory=" + several + separator + "a-b=postgres://h/c"
		got, faults := Databases{config.Secret(list)}.pairs()
		require.Empty(t, faults, "%q", list)
		require.Equal(t, want, got, "%q", list)
		got, faults = Databases{config.Secret("\n" + list + separator + "\n")}.pairs()
		require.Empty(t, faults)
		require.Equal(t, want, got)
	}
	for list, fault := range map[string]string{
		"": "must list name=URL", " ,": "must list name=URL", "orders": "the first entry", orders: "the first entry", "x,orders=" + orders: "the first entry",
		"a=" + orders + ",a=" + several: "names a twice", "a=" + orders + " and more": "what follows the URL of a", "a=" + orders + " b=" + "mysql://h/b": "what follows the URL of a",
	} {
		_, faults := Databases{config.Secret(list)}.pairs()
		require.ErrorContains(t, errors.Join(faults...), fault, "%q", list)
		require.NotContains(t, errors.Join(faults...).Error(), "u:p")
	}
}

func TestConfig_BoundsAreChecked(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	require.Empty(t, c.Validate(), "the defaults are valid")
	c.BatchRows, c.TotalBytes, c.UnresponsiveAfter, c.Drain = 0, -1, time.Millisecond, time.Minute
	err := errors.Join(c.Validate()...)
	for _, name := range []string{"RELAY_BATCH_ROWS", "RELAY_TOTAL_BYTES", "RELAY_UNRESPONSIVE_AFTER", "RELAY_DRAIN"} {
		require.ErrorContains(t, err, name)
	}
}
