package sagasim

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/saga"
)

// The topics of [Run].
const (
	starts   = "starts"
	events   = "events"
	commands = "commands"
	replies  = "replies"
)

// Run simulates sagas of definitions, each release of which replaces the one before it while they
// run. The participants are made from what the definitions say of them: each does what it is asked
// once for a saga or refuses it for good, undoes also what it has not done yet, and answers the
// same again. Events that the sagas await happen, or not, at any time.
func Run(c Config, sagas int, releases ...[]*saga.Definition) (Result, error) {
	w := New(c)
	m := &model{w: w, effects: map[effect]saga.StepStatus{}}
	began, cancelled := map[saga.Ref][]uuid.UUID{}, map[saga.Ref][]uuid.UUID{}
	participants := w.Service("participants", m, commands)
	client := w.Service("client", m.clone(), replies+".of.nobody")
	o, err := w.Orchestrate(Orchestration{
		Releases: releases, Topics: []string{starts, replies, events}, Encode: encode, Decode: Answering,
	})
	if err != nil {
		return Result{}, err
	}
	first := releases[0]
	for n := range sagas {
		d := first[n%len(first)].Describe()
		key := strconv.Itoa(n + 1)
		at := w.Within(Busy)
		send := func(messageType string) func() {
			message := Message{Topic: starts, Message: saga.Message{ID: w.ID(), Type: messageType, Key: key, Data: c.data(d.Name, n)}}
			return func() {
				message.Time = w.Clock()
				ref, sent := saga.Ref{Definition: d.Name, ID: key}, began
				if messageType != d.StartOn {
					sent = cancelled
				}
				sent[ref] = append(sent[ref], message.ID)
				client.Do(func(Database) []Message { return []Message{message} })
			}
		}
		w.At(at, send(d.StartOn))
		m.happen(participants, at, d, key)
		if d.CancelOn != "" && w.Pick(4) == 0 {
			w.At(at+w.Within(10*time.Minute), send(d.CancelOn))
		}
		if w.Pick(10) == 0 {
			w.At(at+w.Within(time.Minute), send(d.StartOn)) // another thing under the same id
		}
	}
	w.Check(func() {
		m.check(o, participants)
		if !client.Restored() { // else it may have forgotten what it was about to send
			checkStarts(o, began)
			checkCancellations(o, cancelled)
		}
	})
	return w.Run(), nil
}

func (c Config) data(definition string, n int) json.RawMessage {
	if c.Data == nil {
		return json.RawMessage("{}")
	}
	return c.Data(definition, n)
}

// happen puts on the agenda what sagas await without having asked for it: most of it happens, some
// of it twice, some before its saga has begun, and some of it is refused.
func (m *model) happen(participants *Service, start time.Duration, d saga.Description, key string) {
	w := m.w
	for _, stage := range d.Stages {
		for _, step := range stage {
			if step.Does != saga.Awaits || w.Pick(8) == 0 {
				continue
			}
			status, messageType := saga.Done, step.Success[0]
			if len(step.Failure) > 0 && w.Pick(6) == 0 {
				status, messageType = saga.Failed, step.Failure[0]
			}
			for range 1 + w.Pick(5)/4 {
				at := start + w.Within([]time.Duration{time.Second, 20 * time.Second, 3 * time.Minute}[w.Pick(3)]) - w.Within(time.Second)
				w.At(at, m.event(participants, effect{d.Name, key, step.Name}, status, messageType))
			}
		}
	}
}

// event is something that happens by itself. What has been undone does not happen any more.
func (m *model) event(participants *Service, at effect, status saga.StepStatus, messageType string) func() {
	message := Message{Topic: events, Message: saga.Message{ID: m.w.ID(), Type: messageType, Key: at.key, Data: json.RawMessage("{}")}}
	return func() {
		message.Time = m.w.Clock()
		participants.Do(func(db Database) []Message {
			effects := db.(*model).effects
			if effects[at] == saga.Undone {
				return nil
			}
			effects[at] = status
			return []Message{message}
		})
	}
}

// checkStarts: each message that starts a saga has started it, or is a dead letter.
func checkStarts(o *Orchestrator, began map[saga.Ref][]uuid.UUID) {
	for _, ref := range slices.SortedFunc(maps.Keys(began), byRef) {
		s, exists := o.Saga(ref)
		for _, id := range began[ref] {
			if (!exists || s.StartID != id) && !o.SetAside(id) {
				o.w.Violation("saga %s: a message that starts it is neither its own nor set aside", ref)
			}
		}
	}
}

// checkCancellations: who asked for a cancellation has it or knows why not, or a dead letter has
// it.
func checkCancellations(o *Orchestrator, asked map[saga.Ref][]uuid.UUID) {
	for _, ref := range slices.SortedFunc(maps.Keys(asked), byRef) {
		s, exists := o.Saga(ref)
		granted := exists && (s.Phase == saga.Cancelled || s.CancelRefused)
		if !granted && o.Forced(ref) == "" && !o.Resolved(ref) && !slices.ContainsFunc(asked[ref], o.SetAside) {
			o.w.Violation("saga %s: a cancellation was asked for, and it is %s", ref, s.Phase)
		}
	}
}

// Answering is what the engine is given of a reply that was sent before, in answer to another
// command: it has an id made of both.
func Answering(m Message) saga.Message {
	if m.InReplyTo == uuid.Nil || m.InReplyTo == m.CausationID {
		return m.Message
	}
	m.ID = uuid.NewHash(sha256.New(), m.ID, m.InReplyTo[:], 8)
	m.CausationID = m.InReplyTo
	return m.Message
}

func encode(c saga.Command) (Message, error) {
	return Message{Topic: commands, Body: c, Message: saga.Message{
		ID: c.ID, Type: c.Type, Key: c.Key, CausationID: c.CausationID, Data: []byte(`{}`),
	}}, nil
}

// model is the participants of any definition.
type model struct {
	w       *World
	effects map[effect]saga.StepStatus // Done, Failed or Undone
}

type effect struct{ definition, key, step string }

func (m *model) clone() *model { return &model{m.w, maps.Clone(m.effects)} }

// Clone implements [Database].
func (m *model) Clone() Database { return m.clone() }

// Handle implements [Database].
func (m *model) Handle(in Message, now time.Time) ([]Message, error) {
	c := in.Body.(saga.Command)
	d, step, ok := m.step(c)
	if !ok {
		return nil, nil // a command that nobody answers, such as the refusal of a cancellation
	}
	at := effect{d.Name, in.Key, c.Step}
	was := m.effects[at]
	if c.Undo {
		m.effects[at] = saga.Undone
		return m.answer(in, step.Undo.Reply, was == saga.Undone, now), nil
	}
	if step.Does == saga.Tells {
		if was != saga.Undone {
			m.effects[at] = saga.Done
		}
		return nil, nil // nobody waits for an answer
	}
	switch {
	case was == saga.Undone && len(step.Failure) == 0:
		return nil, nil // nobody waits for it any more
	case was == saga.Undone:
		return m.answer(in, step.Failure[0], true, now), nil
	case was == saga.Idle && len(step.RetryLater) > 0 && in.ID[15]%4 == 0:
		return m.answer(in, step.RetryLater[0], true, now), nil
	case was == saga.Idle && len(step.Failure) > 0 && step.Attempts > 0 && m.refuses(at):
		m.effects[at] = saga.Failed
	case was == saga.Idle:
		m.effects[at] = saga.Done
	}
	reply := step.Success[0]
	if m.effects[at] == saga.Failed {
		reply = step.Failure[0]
	}
	return m.answer(in, reply, was != saga.Idle, now), nil
}

// refuses decides the same again, also after a restore.
func (m *model) refuses(e effect) bool {
	sum := sha256.Sum256([]byte(strconv.FormatUint(m.w.config.Seed, 10) + e.definition + "\x00" + e.key + "\x00" + e.step))
	return sum[0]%5 == 0
}

// step finds the step that a command carries out or undoes.
func (m *model) step(c saga.Command) (saga.Description, saga.StepDescription, bool) {
	for _, release := range m.w.orchestrator.with.Releases {
		for _, def := range release {
			d := m.w.orchestrator.coverage.described[def]
			for _, stage := range d.Stages {
				for _, s := range stage {
					if s.Name == c.Step && (s.Command == c.Type || s.Undo != nil && s.Undo.Command == c.Type) {
						return d, s, true
					}
				}
			}
		}
	}
	return saga.Description{}, saga.StepDescription{}, false
}

func (m *model) answer(to Message, messageType string, again bool, now time.Time) []Message {
	id := uuid.NewHash(sha256.New(), uuid.Nil, []byte(messageType+"\x00"+to.Key), 8)
	out := Message{Topic: replies, Message: saga.Message{ID: id, Type: messageType, Key: to.Key, Data: []byte(`{}`), Time: now}}
	if again {
		out.InReplyTo = to.ID
	} else {
		out.CausationID = to.ID
	}
	return []Message{out}
}

// check holds what the participants have done against how the sagas ended.
func (m *model) check(o *Orchestrator, participants *Service) {
	done := participants.DB().(*model).effects
	for _, ref := range o.refs() {
		s, _ := o.Saga(ref)
		def, known := o.coverage.find(s)
		if _, interventions := o.Lost(ref); !known || interventions || o.Forced(ref) != "" || o.Resolved(ref) || s.Phase == saga.NotStarted {
			continue
		}
		i := -1
		for _, stage := range o.coverage.described[def].Stages {
			for _, step := range stage {
				i++
				status := done[effect{ref.Definition, ref.ID, step.Name}]
				switch {
				case s.Steps[i].Status == saga.Skipped && step.Does != saga.Awaits && status != saga.Idle:
					m.w.Violation("saga %s: %s was skipped, and is %q", ref, step.Name, status)
				case s.Steps[i].Status == saga.Skipped && step.Does != saga.Awaits:
				case s.Phase == saga.Completed && step.Command != "" && status != saga.Done:
					m.w.Violation("saga %s: completed, and %s is %q", ref, step.Name, status)
				case s.Phase == saga.Cancelled && step.Undo != nil && step.AlreadyDone != "" && status != saga.Undone:
					m.w.Violation("saga %s: cancelled, and %s was not undone", ref, step.Name)
				case s.Phase == saga.Cancelled && step.Undo != nil && status == saga.Done:
					m.w.Violation("saga %s: cancelled, and %s is still done", ref, step.Name)
				}
			}
		}
	}
}
