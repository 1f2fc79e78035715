package explain

import (
	"fmt"
	"strings"
	"time"

	"waybill.example/sdk/saga"
)

// FirstLine is where a saga stands, in a sentence or two: the summary of its [Report], as far as
// the saga alone says it. It is pure, so lists can have it for each row.
func FirstLine(registry *saga.Registry, st saga.State, now time.Time) string {
	return Evidence{Now: now, Saga: &st, Registry: registry}.firstLine()
}

func (s Evidence) firstLine() string {
	st := *s.Saga
	def, known := s.Registry.Definition(st.Definition, st.Version)
	state := s.Registry.StateName(st)
	switch {
	case st.Phase == saga.Suspended:
		return s.suspendedSince()
	case !known:
		return fmt.Sprintf("It is %s; definition %s version %d is not registered here, so no more can be said.", state, st.Definition, st.Version)
	case st.Phase == saga.NotStarted && !st.CancelAsked && s.became() != "":
		return fmt.Sprintf("NOT_STARTED: a reply was read for which there was no saga, which had ended and was removed. The %s; nothing has to be done.", s.became())
	case st.Phase.Ended() && st.Reason != "":
		return fmt.Sprintf("%s, %s after it began: %s.", state, round(st.EndedAt.Sub(st.StartedAt)), st.Reason)
	case st.Phase.Ended():
		return fmt.Sprintf("%s, %s after it began.", state, round(st.EndedAt.Sub(st.StartedAt)))
	case st.Phase == saga.AwaitingStart && !st.CancelAsked && s.became() != "":
		return fmt.Sprintf("A reply was read %s ago for which there is no saga: it had ended and was removed, or the database was put back to an earlier moment. The %s.",
			ago(s.Now, st.StartedAt), s.became())
	case st.Phase == saga.AwaitingStart && !st.CancelAsked:
		return fmt.Sprintf("A reply was read before the message that starts the saga, %s ago: the database was put back to an earlier moment.", ago(s.Now, st.StartedAt))
	case st.Phase == saga.AwaitingStart:
		return fmt.Sprintf("A cancellation came before the message that starts the saga, %s ago.", ago(s.Now, st.StartedAt))
	}
	var parts []string
	if all, suspended := s.versionSuspended(); suspended {
		parts = append(parts, fmt.Sprintf("All of %s version %d is suspended by %s since %s.", all.Definition, all.Version, all.By, ago(s.Now, all.At)))
	}
	if st.Phase != saga.Running {
		parts = append(parts, fmt.Sprintf("Is being undone (%s).", st.Reason))
	}
	for _, w := range def.Waits(st) {
		parts = append(parts, s.waiting(w))
	}
	return strings.Join(parts, " ")
}

// versionSuspended is the suspension of all sagas of its version. A saga shows it as its state only
// once a message comes for it.
func (s Evidence) versionSuspended() (saga.Suspension, bool) {
	for _, all := range s.Registry.Suspensions() {
		if all.Definition == s.Saga.Definition && all.Version == s.Saga.Version {
			return all, true
		}
	}
	return saga.Suspension{}, false
}

// suspendedSince says since when a saga does nothing, and who had it so.
func (s Evidence) suspendedSince() string {
	st := s.Saga
	since := ago(s.Now, st.UpdatedAt)
	if !st.SuspendedAt.IsZero() {
		since = ago(s.Now, st.SuspendedAt)
	}
	switch {
	case st.SuspendedBy != "":
		return fmt.Sprintf("Suspended by %s since %s: it does nothing until it is resumed.", st.SuspendedBy, since)
	case !st.SuspendedAt.IsZero():
		return fmt.Sprintf("Suspended since %s, as all of %s version %d.", since, st.Definition, st.Version)
	default:
		return fmt.Sprintf("Suspended since %s: definition %s version %d is not registered with the orchestrator.", since, st.Definition, st.Version)
	}
}
