package participant

// state is what became of a step of a saga. A step that nobody has asked for has none.
type state string

const (
	unknown state = ""
	done    state = "DONE"
	refused state = "REFUSED"
	undone  state = "UNDONE"
)

// answer is what a command is answered with from now on: the type of the event and its body.
type answer struct {
	kind string
	body []byte
}

func (a answer) known() bool { return a.kind != "" }

// record is what is known of one step of one saga.
type record struct {
	state state
	// reply answers the command; a success until it is undone, and then none until somebody asks.
	reply answer
	// undo answers the undo.
	undo answer
}

// action is what has to be done for a command.
type action int

const (
	carryOut   action = iota // call Do
	takeBack                 // call Undo
	repeat                   // answer as before
	refuseLate               // refuse a command whose undo came first, for the first time
	recordUndo               // nothing was done: nothing to take back
)

// next says what has to be done for a command, or for an undo.
func (r record) next(undoing bool) action {
	switch {
	case undoing && r.state == undone:
		return repeat
	case undoing && r.state == done:
		return takeBack
	case undoing:
		return recordUndo
	case r.reply.known():
		return repeat
	case r.state == undone:
		return refuseLate
	default:
		return carryOut
	}
}

// answer returns what a command, or an undo, is answered with.
func (r record) answer(undoing bool) answer {
	if undoing {
		return r.undo
	}
	return r.reply
}

// decided returns the record after an action, which is not repeat, and its answer. A refusal of the
// handler says so in isRefusal.
func (r record) decided(did action, a answer, isRefusal bool) record {
	switch did {
	case carryOut:
		r.state, r.reply = done, a
		if isRefusal {
			r.state = refused
		}
	case refuseLate:
		r.reply = a
	case takeBack:
		r.state, r.reply, r.undo = undone, answer{}, a
	case recordUndo:
		r.state, r.undo = undone, a
	case repeat:
	}
	return r
}
