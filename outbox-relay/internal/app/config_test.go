package app

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
