// Drills breaks Waybill on purpose and shows that nothing was lost.
//
//	drills list                 what can be broken, and what is promised
//	drills run kafka-down       run drills, each on a fresh stack of its own
//	drills run --all            all of them; --short: the set that CI runs
//	drills audit                compare databases, topics and ledger of the stack that is up
//	drills audit --watch        again and again, with metrics
//	drills load --lines 3       place orders on the stack that is up
package main

import "waybill.example/devstack/stack"

type commands struct {
	Run   runCommand   `cmd:"" help:"Run drills, each on a fresh stack of its own."`
	List  listCommand  `cmd:"" help:"List the drills and what each promises."`
	Audit auditCommand `cmd:"" help:"Compare databases, topics and ledger of the stack that is up."`
	Load  loadCommand  `cmd:"" help:"Place orders on the stack that is up, at a constant rate."`
}

func main() { stack.Main("drills", description, new(commands)) }

const description = "Breaks Waybill on purpose and shows that nothing was lost."
