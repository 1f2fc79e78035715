package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/httpserver"
	"waybill.example/orchestrator/internal/explain/collect"
	"waybill.example/orchestrator/internal/notify"
	"waybill.example/sdk/deadletter"
)

// notify prepares the notifier and its operations, where a webhook is set.
func (a *parts) notify(c Config, explainer *collect.Collector, tokens admin.Tokens, readers *admin.Tokens, reg *prometheus.Registry) error {
	webhook, err := c.Notify.webhook()
	if err != nil || webhook == nil {
		return err
	}
	sources := &notify.Sources{
		DB: a.requests, Explain: explainer.Explain, Letters: deadletter.NewStore(a.requests),
		Services: map[string]func(context.Context) (string, error){}, Consumers: map[string]*apiclient.Client{},
	}
	sources.Relay, sources.Shard = c.relayClient(), explainer.Shard
	for name, consumer := range map[string]*apiclient.Client{"orders": c.ordersClient(), "inventory": c.inventoryClient()} {
		if consumer != nil {
			sources.Consumers[name] = consumer
			sources.Services[name] = func(ctx context.Context) (string, error) { return collect.Health(ctx, consumer) }
		}
	}
	a.notifier = notify.New(notify.Options{
		DB: a.requests, Find: sources.Find, Webhook: webhook, Every: c.Notify.Every, After: c.Notify.After, Log: a.log, Metrics: reg,
	})
	(&notify.API{DB: a.requests, Tokens: tokens, Readers: readers}).Register(httpserver.Operations{API: a.server.API, Log: a.log})
	return nil
}
