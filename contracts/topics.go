package contracts

import "slices"

// The topics. The key of every message is its order id in decimal, so all messages of one order
// share a partition and keep their order.
const (
	TopicOrders            = "orders.v1"
	TopicInventory         = "inventory.v1"
	TopicOrderCommands     = "orders.commands.v1"
	TopicInventoryCommands = "inventory.commands.v1"
)

// The consumer groups, one per service. They are also the consumer names in each service's inbox.
const (
	GroupOrders       = "orders-service"
	GroupInventory    = "inventory-service"
	GroupOrchestrator = "orchestrator"
)

// DefaultPartitions is the number of partitions a topic is created with.
const DefaultPartitions = 3

var consumed = []string{TopicOrders, TopicInventory, TopicOrderCommands, TopicInventoryCommands}

// DeadLetterTopic names the topic that takes the messages of topic which no consumer can apply.
func DeadLetterTopic(topic string) string { return topic + ".dlq" }

// Topics lists every topic that must exist before the services run: the four above and the dead
// letter topic of each. Nothing relies on the broker's auto-creation.
func Topics() []string {
	all := slices.Clone(consumed)
	for _, t := range consumed {
		all = append(all, DeadLetterTopic(t))
	}
	return all
}
