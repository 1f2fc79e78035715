// Package saga is an engine for sagas: work that several services do together without a transaction
// that spans them. Each step is a command to one service; when a step cannot be done, those before
// it are undone, the last first.
//
// A [Definition] is data, written with [Define] so that it reads from top to bottom like the
// business, and checked as a whole by [Builder.Build]. The engine is one pure function,
// [Definition.Apply]:
//
//	(definition, state, input, now) → (state', commands, transition)
//
// It has no clock, no random source and no I/O, so the same inputs always give the same outcome: it
// can be property-tested and simulated, and two orchestrators that meet the same input write the
// same commands. The caller stores the new state, the transition and the commands in one database
// transaction; the package runner does that on Postgres. A [Registry] holds the definitions of an
// orchestrator, in several versions, and finds the sagas that a message is for.
//
// # States
//
// A saga has a [Phase], and each of its steps a [StepStatus].
//
//	                 start                    every step is done or skipped
//	(none) ─────────────────────▶ RUNNING ─────────────────────────────────▶ COMPLETED
//	   │ a cancellation comes        │ a step fails or is given up, the          │ a cancellation within
//	   │ first, or a reply           │ saga is cancelled, its time is over       │ its window
//	   ▼            start            ▼                                           │
//	AWAITING_START ───────────▶ COMPENSATING ◀───────────────────────────────────┘
//	   │ no start in a minute     ▲  │  ▲ │ all that was done is undone
//	   ▼                          │  │  │ ▼
//	NOT_STARTED ── start ─────────┘  │  │ CANCELLED ── a success that comes late ──▶ COMPENSATING
//	                                 ▼  │
//	                       COMPENSATION_STUCK (an undo has used up its attempts; still trying)
//
// A saga of which only a reply has come waits for its start, too, and is RUNNING then: its database
// was put back to an earlier moment, and the topics are not read again in one order.
//
// COMPLETED and CANCELLED go by the names that the definition gives them. A saga is SUSPENDED, from
// any phase that has not ended and back to it, while no orchestrator knows its definition's
// version, or while an operator has suspended it or its version: it does nothing then, and what
// comes for it is held, in order, and applied first when it is resumed.
//
// A step is idle, and when its turn comes it is skipped (its condition does not hold), done at once
// (it was done before, or is only told), or waiting: for a reply, for an event that no command
// asked for, or for time to pass. A wait ends as done, failed (it was refused: nothing was done) or
// given up (nobody knows). On the way back what is done, and what may be, is undoing and then
// undone.
//
// # Guarantees
//
// Given that each input reaches the engine at least once and is applied once (an inbox does that):
//
//   - Every saga ends. Each wait has a deadline and each deadline an action: send the command
//     again, give the step up and compensate, or, where there is no going back, keep asking at a
//     bounded pace. Build refuses a definition that has a wait without one.
//   - A step is undone only if it was done or may have been done. What is known to have been done
//     is undone in reverse order, each after the reply to the one before.
//   - A reply counts only if it answers a command that this saga sent for a step that still waits
//     for it, and an event only for the step that awaits it. Anything else is recorded as stale,
//     and changes nothing.
//   - Conditions are asked once. Their answers are in the state, as is all else that was decided.
//   - A command has one id, derived from what it is, however often its input is applied.
//   - A saga stays on the version that it began with.
//
// # When something fails
//
// A participant that never answers is not waited for on the way back: the undo of its step is sent
// all the same, unconfirmed, and a success that comes later is undone once more, once. An undo that
// is not answered leaves the saga visibly in COMPENSATION_STUCK, where it keeps trying at its
// slowest pace; the undos of the other steps do not wait for it. A step that must be answered
// ([Step.RetryForever]) goes on the same way ([State.Trouble]).
//
// An event that comes before its turn counts; one that comes after compensation has begun is
// undone, if its step has an undo. One under a key without a saga is refused with [ErrUnknownSaga],
// so that it can be delivered again.
//
// A message that a function of the definition refuses, or on which it panics, is an error of that
// message: it changes nothing. So is a second start with another id ([ErrStartConflict]).
//
// If the database is put back to an earlier moment, the ids of commands still say whose they are:
// the success of a command that the saga has forgotten counts, and the reply to an undo that it has
// forgotten turns it back.
//
// # What it asks of participants
//
// Carry out a command of one saga once however often it is sent (the key is the saga's id), answer
// each command naming it in the reply's causation id, and accept an undo of what was never done.
// The package participant does all of it.
//
// # In the code
//
//	definition.go               what a definition is
//	dsl.go, dsl_step.go         how one is written down; attributes.go: its search attributes
//	validate.go                 what Build refuses
//	registry.go, route.go       the definitions of an orchestrator, and the sagas that a message is for
//	hold.go, suspend.go         sagas whose version is not registered here, or that are suspended
//	state.go, wait.go           what is known of a saga, and what it waits for
//	input.go                    what can happen to it, and what comes of that
//	apply.go                    one application: start, stages, conditions; send.go: commands
//	reply.go, deadline.go       replies and events; deadlines and times
//	compensate.go, cancel.go    the way back; cancellations, also those that come first
//	intervention.go, request.go what operators can do, as inputs and as data
//	intervene.go, resolve.go, editdata.go  what comes of that
//	preview.go, explore.go      what would come of it, and what could become of a saga at all
//	forgotten.go, identity.go   after a restore; the ids of commands
//	fingerprint.go, diagram.go, mermaid.go, svg.go  a definition described
//
// The package sagatest tests a definition, sagasim simulates it.
package saga
