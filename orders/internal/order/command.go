package order

// Verb is what a command asks of an order.
type Verb string

// The verbs.
const (
	Confirm Verb = "confirm"
	Cancel  Verb = "cancel"
)

// Command asks an order to become CONFIRMED, or CANCELLED for a reason.
type Command struct {
	OrderID int64
	Verb    Verb
	Reason  string // of a Cancel; never empty there
}

// State is what commands change of an order.
type State struct {
	Status Status
	Reason string // why it is CANCELLED; empty in every other status
}

// transitions is every way on which an order can go. A CONFIRMED order can still be cancelled,
// because the saga takes an order back when its client asks for that in time; CANCELLED is final,
// because by then its items may be somebody else's.
var transitions = []struct {
	from Status
	on   Verb
	to   Status
}{
	{Pending, Confirm, Confirmed},
	{Pending, Cancel, Cancelled},
	{Confirmed, Cancel, Cancelled},
}

// wants is the status that a verb asks for.
var wants = map[Verb]Status{Confirm: Confirmed, Cancel: Cancelled}

// Outcome says what a command did.
type Outcome string

// The outcomes.
const (
	Changed      Outcome = "changed"
	Repeated     Outcome = "repeated"     // the order is already as the command wants it
	Contradicted Outcome = "contradicted" // the order cannot go that way, and stays as it is
)

// Apply returns the state that a command leaves an order in, and what it did. Only Changed comes
// with another state.
func (s State) Apply(c Command) (State, Outcome) {
	for _, t := range transitions {
		if t.from != s.Status || t.on != c.Verb {
			continue
		}
		next := State{Status: t.to}
		if t.to == Cancelled {
			next.Reason = c.Reason
		}
		return next, Changed
	}
	if s.Status == wants[c.Verb] {
		return s, Repeated
	}
	return s, Contradicted
}

// Change is an order's way from one state to another.
type Change struct {
	OrderID  int64
	From, To State
}
