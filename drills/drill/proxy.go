package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// proxy stands between the services and a server and can be set to be a bad network.
type proxy struct{ *toxiproxy.Proxy }

// newProxy listens on a free port.
func newProxy(server, upstream string) (*proxy, error) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // its toxics log to the global logger, each of their doings
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(api, server, "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("start the proxy of %s: %w", server, err)
	}
	return &proxy{p}, nil
}

// Close ends the proxy and its connections.
func (p *proxy) Close() error {
	p.Stop()
	return nil
}

// toxic is something bad that happens to what passes through.
type toxic struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream"` // "downstream" to the services, "upstream" from them
	Attributes map[string]int `json:"attributes"`
}

func (p *proxy) poison(t toxic) error {
	body, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if _, err := p.Toxics.AddToxicJson(bytes.NewReader(body)); err != nil {
		return fmt.Errorf("make the network of %s bad: %w", p.Name, err)
	}
	return nil
}

// heal takes every toxic away.
func (p *proxy) heal(ctx context.Context) { p.Toxics.ResetToxics(ctx) }
