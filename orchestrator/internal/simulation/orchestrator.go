package simulation

import (
	"errors"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"waybill/contracts"
	"waybill/orchestrator/ordersaga"
	"waybill/orchestrator/saga"
)

// orchestrator is the real engine on a model of its database.
type orchestrator struct {
	service
	sagas   map[string]saga.State
	learned map[string]bool // sagas that had reason to release: a reservation, or silence
	late    map[string]int
	newest  map[int64]int // for counting reordered messages
	order   map[uuid.UUID]int
}

func newOrchestrator(w *world) *orchestrator {
	o := &orchestrator{
		sagas: map[string]saga.State{}, learned: map[string]bool{}, late: map[string]int{},
		newest: map[int64]int{}, order: map[uuid.UUID]int{},
	}
	o.service = newService(w, "orchestrator", o.handle)
	return o
}

// observeOrder counts messages of an order that arrive after younger ones.
func (o *orchestrator) observeOrder(m contracts.Message) {
	at, known := o.order[m.Meta().EventID]
	if !known {
		return
	}
	id := m.Meta().OrderID
	if at < o.newest[id] {
		o.w.result.Faults.Reordered++
	}
	o.newest[id] = max(o.newest[id], at)
}

func (o *orchestrator) handle(m contracts.Message) []contracts.Message {
	record, err := contracts.Encode(m)
	if err != nil {
		o.w.violation("a message of the model is invalid: %v", err)
		return nil
	}
	return o.apply(record.Key, ordersaga.Message(m, record.Payload, ""))
}

// apply is what the store does: load, decide, write.
func (o *orchestrator) apply(id string, in saga.Input) []contracts.Message {
	before := o.sagas[id]
	decision, err := definition.Apply(before, in, o.w.clock())
	if errors.Is(err, saga.ErrUnknownSaga) {
		o.w.trace("orchestrator knows no saga %s", id)
		return nil
	}
	if err != nil {
		o.w.violation("the engine refuses an input for saga %s: %v", id, err)
		return nil
	}
	if !decision.Changed() {
		return nil
	}
	if decision = o.plant(before, decision); !decision.Changed() {
		return nil
	}
	o.sagas[id] = decision.State
	o.observe(id, in, decision)
	if due, ok := decision.State.Deadline(); ok {
		o.w.at(due.Sub(epoch), func() { o.due(id) })
	}
	var out []contracts.Message
	for _, c := range decision.Commands {
		body := c.Body.(contracts.Message)
		out = append(out, named(body, contracts.Type(c.Type)))
	}
	return out
}

// plant puts a bug into what the engine decided.
func (o *orchestrator) plant(before saga.State, d saga.Decision) saga.Decision {
	switch {
	case o.w.config.Bug == ForgetLateReply && d.Transition.Kind == saga.LateReply:
		o.w.trace("saga %s: the late reply is forgotten, as planted", before.ID)
		return saga.Decision{State: before}
	case o.w.config.Bug == ForgetRelease:
		var kept []saga.Command
		for _, c := range d.Commands {
			if c.Type == string(contracts.TypeReleaseInventory) {
				for i := range d.State.Steps {
					if d.State.Steps[i].Status == saga.Undoing && definition.StepNames()[i] == c.Step {
						d.State.Steps[i].Status = saga.Undone
					}
				}
				continue
			}
			kept = append(kept, c)
		}
		d.Commands = kept
	}
	return d
}

// due is the poller of deadlines, which can crash as well.
func (o *orchestrator) due(id string) {
	if o.away > o.w.now {
		o.w.at(o.away, func() { o.due(id) })
		return
	}
	if o.w.chance(o.w.mood.crash) {
		o.w.result.Faults.CrashesBefore++
		o.crash()
		o.w.at(o.away, func() { o.due(id) })
		return
	}
	o.outbox.append(o.apply(id, saga.Due{})...)
}

// observe keeps what the invariants need to know.
func (o *orchestrator) observe(id string, in saga.Input, d saga.Decision) {
	t := d.Transition
	o.w.trace("saga %s: %s %s %s → %s %s", id, t.Kind, t.Step, t.From, t.To, t.Note)
	if m, ok := in.(saga.Message); ok && m.Type == string(contracts.TypeInventoryReserved) {
		o.learned[id] = true
	}
	switch t.Kind {
	case saga.TimedOut:
		o.learned[id] = true
		if strings.HasSuffix(t.Note, "given up") {
			o.w.result.Faults.GivenUp++
		} else {
			o.w.result.Faults.Retries++
		}
	case saga.LateReply:
		o.w.result.Faults.LateReplies++
		o.late[id]++
	case saga.StaleReply:
		o.w.result.Faults.Stale++
	case saga.Started, saga.Replied, saga.CancelRequested, saga.Intervened, saga.ParkedSaga, saga.Unparked,
		saga.Postponed, saga.HeldMessage, saga.Resumed:
	}
	for _, c := range d.Commands {
		if c.Type == string(contracts.TypeReleaseInventory) && !o.learned[id] {
			o.w.violation("order %s: released although nothing was reserved and nobody was silent", id)
		}
	}
}

func key(id int64) string { return strconv.FormatInt(id, 10) }
