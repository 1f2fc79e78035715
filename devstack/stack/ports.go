package stack

import (
	"fmt"
	"net"

	"waybill.example/devstack/loopback"
)

// The processes of a stack, by the names that stack.json and the commands use.
const (
	Postgres     = "postgres"
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
	Broker:        19092,
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
	for _, name := range names {
		port := fixedPorts[name]
		if ephemeral {
			port = 0
		}
		// All stay open until each has one, lest two get the same.
		listener, err := net.Listen("tcp", loopback.Addr(port))
		if err != nil {
			return nil, fmt.Errorf("port %d, which %s listens on, is in use: stop what has it, or use --ephemeral-ports: %w",
				port, name, err)
		}
		defer listener.Close()
		ports[name] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
