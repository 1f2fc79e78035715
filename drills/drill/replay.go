package drill

import (
	"context"

	"waybill/devstack/stack"
)

const relayToken = "drill"

// relayAdmin lets the drill use the relay's verbs.
var relayAdmin = map[string][]string{stack.Relay: {"RELAY_ADMIN_TOKENS=drill=" + relayToken}}

func (s *Stage) replayEverything(ctx context.Context) error { return nil }
