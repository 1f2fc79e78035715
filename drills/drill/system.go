package drill

import (
	"context"

	"waybill.example/devstack/stack"
)

// system is what a drill breaks: the devstack's processes, or the containers of compose.yaml.
type system interface {
	Act(ctx context.Context, action stack.Action, name string) error
	State() stack.State
	Down(ctx context.Context) error
}

var (
	_ system = (*stack.Stack)(nil)
	_ system = (*compose)(nil)
)
