// Package sagasim runs saga definitions through a world that goes wrong, in virtual time: messages
// are lost, duplicated, delayed and overtaken; processes crash around every commit, stall and are
// considered dead; relays are paused; several orchestrators decide at once; releases are rolled out
// and back; operators retry, cancel, resolve, skip waits, suspend, restart, force and move
// deadlines; dead letters are redriven; databases are restored to an earlier moment; sagas that
// ended are forgotten. Then it checks what has become of every saga.
//
// A seed is a run: the same seed goes wrong in the same way again, and a violation comes with what
// led to it. [Coverage] says which moves of a definition no run has made.
//
// [Run] simulates any definition with participants that are made from it. For participants of your
// own, and checks of what they keep, build a [World]: add a [World.Service] for each, an
// orchestrator with [World.Orchestrate], put what clients do on the agenda with [World.At], and
// [World.Run] it. The order flow of this repository is simulated so, with the decisions of its
// services themselves (drills/ordersim).
//
// A checker that cannot fail proves nothing: each [Bug] takes one safeguard out, and the tests hold
// that the simulation finds out.
//
// Files: world.go is the clock and the agenda, broker.go topics and relays, service.go a database
// with inbox and outbox, lane.go a consumer of one partition, orchestrator.go and deadlines.go the
// engine on a database, faults.go what goes wrong, check.go what has to be true, coverage.go what
// was seen, bugs.go what is planted, model.go participants for any definition.
package sagasim
