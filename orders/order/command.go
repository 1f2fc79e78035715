package order

// Action is what a command asks of an order.
type Action string

// The actions.
const (
	Confirm Action = "confirm"
	Cancel  Action = "cancel"
	Refuse  Action = "refuse" // a client's request to cancel
)

// Command asks an order to become CONFIRMED, or CANCELLED for a reason, or to say why it will not
// be.
type Command struct {
	OrderID int64
	Action  Action
	Reason  string // of a Cancel or a Refuse; never empty there
}

// State is what commands change of an order.
type State struct {
	Status Status
	Reason string // why it is CANCELLED; empty in every other status
	// CancelRefused is why a client's request to cancel it was not granted. A cancellation that is
	// carried out after all makes it void.
	CancelRefused string
}

// transitions are all that there are. A CONFIRMED order can still be cancelled, because the saga
// compensates an order when its client asks for that in time; CANCELLED is final, because by then
// its items may be reserved for another order.
var transitions = []struct {
	from Status
	on   Action
	to   Status
}{
	{Pending, Confirm, Confirmed},
	{Pending, Cancel, Cancelled},
	{Confirmed, Cancel, Cancelled},
}

// wants is the status that an action asks for.
var wants = map[Action]Status{Confirm: Confirmed, Cancel: Cancelled}

// Outcome says what a command did.
type Outcome string

// The outcomes.
const (
	Changed      Outcome = "changed"
	Repeated     Outcome = "repeated"      // the order is already as the command wants it
	Contradicted Outcome = "contradicted"  // the order cannot go that way, and stays as it is
	Unknown      Outcome = "unknown_order" // there is no such order
)

// Apply returns the state that a command leaves an order in, and what it did. Only Changed comes
// with another state.
func (s State) Apply(c Command) (State, Outcome) {
	if c.Action == Refuse {
		return s.refuse(c.Reason)
	}
	for _, t := range transitions {
		if t.from != s.Status || t.on != c.Action {
			continue
		}
		next := State{Status: t.to}
		switch t.to {
		case Cancelled:
			next.Reason = c.Reason
		case Pending, Confirmed:
			next.CancelRefused = s.CancelRefused
		}
		return next, Changed
	}
	if s.Status == wants[c.Action] {
		return s, Repeated
	}
	return s, Contradicted
}

// refuse keeps the first refusal, which is the one that clients are shown.
func (s State) refuse(reason string) (State, Outcome) {
	switch {
	case s.Status == Cancelled:
		return s, Contradicted
	case s.CancelRefused != "":
		return s, Repeated
	}
	s.CancelRefused = reason
	return s, Changed
}

// Change takes an order from one state to another.
type Change struct {
	OrderID  int64
	From, To State
}
