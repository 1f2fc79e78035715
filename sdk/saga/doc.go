// Package saga keeps promises that span several services: it runs a workflow
// whose steps are commands to other services, waits for their replies, and
// when a step fails or stays silent undoes, in reverse order, what was done.
//
// A [Definition] is data, written with [Define] so that it reads like the
// business and checked as a whole by [Builder.Build]. The engine is one pure
// function, [Definition.Apply]: (definition, state, input, now) → (state',
// commands, transition). It has no clock, no random source and no I/O, so the
// same inputs always give the same outcome: it can be property-tested and
// simulated, and two orchestrators that meet the same input write the same
// commands. Whoever calls it stores the new state, the transition and the
// commands in one database transaction.
//
// What the engine promises, given that each input reaches it at least once and
// is applied once (an inbox does that):
//
//   - Every saga ends. Each wait has a deadline and each deadline an action:
//     send the command again, give the step up and compensate, or, where there
//     is no going back, keep asking at a bounded pace.
//   - A step is undone only if it was done or may have been done: the undo of
//     a step that never answered is sent without waiting for the silent
//     participant, and a success that comes later is undone once more, once.
//   - A reply counts only if it answers a command this saga sent for a step
//     that still waits for it; any other is recorded as stale, never applied.
//   - A compensation that cannot succeed leaves the saga visibly in
//     COMPENSATION_STUCK, where it keeps trying at its slowest pace.
//
// What it asks of participants: apply a command of one saga once however often
// it is sent (the key is the saga's id), answer each command naming it in the
// reply's causation id, and accept an undo of what was never done.
package saga
