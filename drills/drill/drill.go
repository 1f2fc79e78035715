// Package drill breaks a running stack on purpose and holds it to its promises.
//
// A [Drill] is a fault and a promise. [Run] gives it a fresh stack of its own, places orders at a
// constant rate, lets the drill break things, waits until every order that was taken meanwhile has
// come to its end, and then has the audit compare what the client was answered with what the
// databases and the topics say. The [Outcome] passes only if nothing was lost, nothing happened
// twice, and no POST failed that had no reason to.
package drill

import (
	"context"
	"time"

	"waybill.example/devstack/stack"
)

// Drill is one way to break the system, and what is promised nevertheless.
type Drill struct {
	Name    string
	Promise string
	// For is how long the fault lasts unless the user says otherwise; Brief is how long in the
	// short set that CI runs, and zero keeps the drill out of it.
	For, Brief time.Duration
	// Within is the promise for the time between the end of the fault and the end of the last order
	// that was taken before it; zero stands for 15 s.
	Within time.Duration
	// MostRate bounds the orders per second that the user asks for; zero does not.
	MostRate float64
	// Env sets the processes up, by their name: deadlines that fit into a drill, for example.
	Env map[string][]string
	// Shards are how many shards the stack has; 0 for services that are not sharded.
	Shards int
	// Notified has the orchestrator notify a webhook of the drill's.
	Notified bool
	// Proxied puts a proxy between the services and the servers.
	Proxied bool
	// EmbeddedOnly keeps the drill from a real Kafka, with the reason.
	EmbeddedOnly string
	// KafkaNodes gives the drill an Apache Kafka of so many nodes, whatever the user asks for.
	KafkaNodes int
	// Partitions are how many each topic has; zero is the default.
	Partitions int32
	// Processes: the drill works on the devstack's processes themselves (their signals, files or
	// further instances), and cannot be run on containers.
	Processes bool
	// Standby adds a Postgres that follows the other.
	Standby stack.Replication
	// Repaired has what the audit finds repaired with the commands of its plan, before it is asked
	// for the verdict.
	Repaired bool
	// Prepare, if set, is called when the stack is up and before the load begins.
	Prepare func(ctx context.Context, s *Environment) error
	// Break breaks the system for a while and returns when it has been put together again.
	Break func(ctx context.Context, s *Environment, d time.Duration) error
}

// Unfit says why the drill cannot be run on an Apache Kafka of so many nodes (0: on the embedded
// broker), or on containers; "" if it can.
func (d Drill) Unfit(kafkaNodes int, compose bool) string {
	switch {
	case (kafkaNodes > 0 || compose) && d.EmbeddedOnly != "":
		return "it needs the embedded broker: " + d.EmbeddedOnly
	case compose && (d.Processes || d.Proxied || d.Env != nil || d.KafkaNodes > 0 || d.Partitions > 0):
		return "it needs the devstack's processes"
	case kafkaNodes > 1 && d.Proxied:
		return "it needs a single broker: what is between one and its clients is between it and the others as well"
	}
	return ""
}

// within is the time that the drill allows for recovery.
func (d Drill) within() time.Duration {
	if d.Within == 0 {
		return 15 * time.Second
	}
	return d.Within
}

// All returns every drill, in the order in which they are run.
func All() []Drill {
	return []Drill{
		kafkaDown, kafkaFlap, kafkaWiped, trickle,
		relayCrash, relayFailover, topicRefused, topicUnreplicated, partitionLeaderless, largePoison,
		killABroker, killTheController, loseQuorum,
		serviceCrash, consumersKilled, severalInstances, rollingRestart, inventorySilent,
		postgresRestart, postgresDown, loginsRefused, lockHeld,
		restoreOrders, restoreInventory, restoreOrchestrator, restoreTogether, failover, restoreDeadLetters,
		failoverSync, failoverAsync,
		slowNetwork, cutNetwork,
		duplicates, reorder, poison,
		redriveInOrder, batch10000, notified, sharded,
		diskFull, chaos, soak,
	}
}

// ByName finds a drill.
func ByName(name string) (Drill, bool) {
	for _, d := range All() {
		if d.Name == name {
			return d, true
		}
	}
	return Drill{}, false
}
