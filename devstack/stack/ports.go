package stack

import (
	"fmt"
	"net"

	"waybill.example/devstack/loopback"
)

// The processes of a stack, by the names that stack.json and the commands use.
const (
	Postgres     = "postgres"
	Standby      = "postgres-standby" // only with [Config.Standby]
	Broker       = "broker"
	Orders       = "orders"
	Inventory    = "inventory"
	Orchestrator = "orchestrator"
	Relay        = "outbox-relay"
)

// inventoryGRPC is the other listener of Inventory, by the name that a taken port is reported with.
const inventoryGRPC = "inventory (gRPC)"

// services are the processes that use the other two.
var services = []string{Orders, Inventory, Orchestrator, Relay}

// fixedPorts is where a developer finds each process. Postgres is off its usual
// port, which a server of the machine's own may have.
var fixedPorts = map[string]int{
	Postgres:      15432,
	Standby:       15433,
	Broker:        19092,
	Broker + "-1": 19092,
	Broker + "-2": 19093,
	Broker + "-3": 19094,
	Orders:        8080,
	Inventory:     8081,
	Orchestrator:  8082,
	Relay:         8083,
	inventoryGRPC: 9081,
}

// choosePorts returns a port for each process, and an error that names the
// first one that is taken.
func choosePorts(ephemeral bool, names []string) (map[string]int, error) {
	ports := make(map[string]int, len(names))
	if ephemeral {
		free, err := loopback.FreePorts(len(names))
		for i := range free {
			ports[names[i]] = free[i]
		}
		return ports, err
	}
	for _, name := range names {
		port := fixedPorts[name]
		listener, err := net.Listen("tcp", loopback.Addr(port))
		if err != nil {
			return nil, fmt.Errorf("port %d, which %s listens on, is in use: stop what has it, or use --ephemeral-ports (make up UPFLAGS=--ephemeral-ports): %w",
				port, name, err)
		}
		if err := listener.Close(); err != nil {
			return nil, fmt.Errorf("port %d of %s: %w", port, name, err)
		}
		ports[name] = port
	}
	return ports, nil
}
