// Package fault says whose fault an error is: that of the message or request that was being worked
// on, of another transaction that was faster, or of the infrastructure. What reads errors
// (postgres) and what acts on them (kafka, HTTP handlers) share its terms and nothing else.
package fault

// Kind is what follows from an error.
type Kind int

const (
	// Message means that what was being worked on brings the error about,
	// and will again.
	Message Kind = iota
	// Conflict means that another transaction was in the way; the same again, at once, probably
	// succeeds.
	Conflict
	// Statement means that the database works, and refuses a statement for a reason that lies
	// outside of the message: a lock, a grant, a trigger, a schema. Other messages may go through.
	Statement
	// Outage means that nothing can be done at the moment, whatever the message.
	Outage
)

// Fault is an error that has been classified.
type Fault struct {
	Kind Kind
	// Reason is one of a few words: a label of metrics, and for people who look at a readiness
	// page.
	Reason string
	// Code is the SQLSTATE, if there is one.
	Code string
	// Alike is the same for errors that probably have one cause.
	Alike string
	// Attempts is how often a message may fail with it, alone, until it counts as the message's own
	// fault; 0: as often as it likes.
	Attempts int
}

// ReasonMessage is the reason of what is the message's own fault.
const ReasonMessage = "message"

// MessageAttempts is how often a message that brings an error about is tried before it is given up.
const MessageAttempts = 3

// OfMessage is the fault of an error that was raised about a message; text is the error's.
func OfMessage(text string) Fault {
	return Fault{Kind: Message, Reason: ReasonMessage, Alike: withoutDigits(text), Attempts: MessageAttempts}
}

// withoutDigits is what the same error about two messages has in common: their ids differ.
func withoutDigits(text string) string {
	out := make([]rune, 0, len(text))
	for _, r := range text {
		if r < '0' || r > '9' {
			out = append(out, r)
		}
	}
	return string(out)
}
