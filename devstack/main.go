// Devstack runs the whole of Waybill on one machine, without Docker: Postgres,
// a Kafka-protocol broker and the services, each a process of its own.
//
//	devstack up              run it in the foreground until Ctrl-C
//	devstack demo            start it, place orders, show what became of them, stop
//	devstack status          show the processes of the stack that is up
//	devstack kill broker     act on one of them: start stop kill freeze thaw promote
package main

import "waybill.example/devstack/stack"

type commands struct {
	Up     upCommand     `cmd:"" help:"Run the stack in the foreground until Ctrl-C."`
	Demo   demoCommand   `cmd:"" help:"Start a stack, place orders, show what became of them, stop."`
	Status statusCommand `cmd:"" help:"Show the processes of the stack that is up."`

	Start  startCommand  `cmd:"" help:"Start a process of the stack again and wait until it is ready."`
	Stop   stopCommand   `cmd:"" help:"Stop a process of the stack in order."`
	Kill   killCommand   `cmd:"" help:"Kill a process of the stack with SIGKILL."`
	Freeze freezeCommand `cmd:"" help:"Freeze a process of the stack with SIGSTOP."`
	Thaw   thawCommand   `cmd:"" help:"Let a frozen process of the stack go on."`

	Promote promoteCommand `cmd:"" help:"Make a primary of the standby (up --standby=async)."`

	Broker brokerCommand `cmd:"" help:"Run the embedded broker alone."`
}

func main() { stack.Main("devstack", description, new(commands)) }

const description = "Runs the whole of Waybill on one machine, without Docker."
