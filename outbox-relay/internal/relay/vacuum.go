package relay

import (
	"context"
	"time"

	"waybill.example/outbox-relay/internal/source"
)

const (
	// How many looks at the backlog there are for one at what holds back vacuum.
	vacuumLooks = 6
	// For how long vacuum may be held back before operators are alerted.
	vacuumHeld = time.Hour
)

// vacuum remembers what has held back vacuum, and since when, because a role may see who it is and
// not since when.
type vacuum struct {
	name  string
	since time.Time
}

// held returns for how long the same has held back vacuum.
func (v *vacuum) held(now source.Vacuum, at time.Time) time.Duration {
	if now.Kind == "" {
		*v = vacuum{}
		return 0
	}
	if name := now.Kind + " " + now.Name; name != v.name {
		*v = vacuum{name, at}
	}
	return max(now.Held, at.Sub(v.since))
}

func (m *maintenance) lookAtVacuum(ctx context.Context) error {
	found, err := m.session.Vacuum(ctx)
	if err != nil {
		return err
	}
	found.Held = m.vacuum.held(found, time.Now())
	m.metrics.vacuum(m.name, found)
	holder := ""
	if found.Held >= vacuumHeld {
		holder = found.Kind + ": " + found.Name
	}
	if m.status.setVacuum(holder) && holder != "" {
		m.log.WarnContext(ctx, "vacuum is held back; dead versions of the cursor and of expired rows stay until it ends", "kind", found.Kind, "name", found.Name,
			"for", found.Held.Round(time.Second), "dead_cursor_rows", found.DeadCursors)
	}
	return nil
}
