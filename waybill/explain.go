package main

import (
	"waybill.example/chassis/apiclient"
	saga "waybill.example/orchestrator/cli"
)

// explain is `waybill explain`, short for `waybill saga explain`.
type explain struct {
	apiclient.Flags `embed:"" envprefix:"ORCHESTRATOR_" set:"service=the orchestrator" set:"url=http://127.0.0.1:8082"`
	saga.Explain    `embed:""`

	JSON bool `help:"Print JSON, as the API gave it." name:"json"`
}

// Run prints why a saga is where it is.
func (c *explain) Run(t saga.Terminal) error {
	return c.Explain.Run(&saga.Saga{Flags: c.Flags, JSON: c.JSON}, t)
}
