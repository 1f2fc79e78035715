// Package stack runs the whole of Waybill on one machine: Postgres, a broker
// and the services, each a process of its own that can be stopped, frozen or
// killed while the others go on.
//
// [Up] builds the programs, starts them in order, and returns when all are
// ready. The process that holds the [Stack] supervises it; others find it
// through its directory, where [Read] tells what runs and [Client] acts on it.
package stack
