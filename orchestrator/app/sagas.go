package app

import (
	"io/fs"

	"waybill.example/contracts"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
)

// Sagas is what an orchestrator runs.
type Sagas struct {
	// Definitions are the sagas, each in all the versions that still have sagas.
	Definitions []*saga.Definition
	// Topics are those that the sagas' messages come on.
	Topics []string
	// Group is the consumer group, and the name in the inbox; empty is "orchestrator".
	Group string
	// Shard is which of the sagas run here, by their ids, where others run the others of the same
	// topics, each in a database and a group of its own. Not set: all.
	Shard contracts.Shard
	// Codec translates the messages; nil is [runner.CloudEvents].
	Codec runner.Codec
	// Schemas, if set, has the JSON Schema of each type of message that the sagas send, in a file
	// that is named as the type: OrderCreated.json.
	Schemas fs.FS
	// Content, if set, is what of a message must be the same whenever it comes under one id.
	Content func(inbox.Delivery) []byte
}

// DefaultGroup is the consumer group where Sagas name none.
const DefaultGroup = "orchestrator"
