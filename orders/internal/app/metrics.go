package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"waybill.example/chassis/httpserver"
	"waybill.example/orders/internal/watch"
)

// observeWaiting shows how many clients wait, and what that costs the database.
func observeWaiting(reg prometheus.Registerer, waiting *httpserver.Waiting, hub *watch.Hub) {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "waybill_orders_waiting_clients",
		Help: "Requests that wait for what becomes of an order, streams among them; at most HTTP_MAX_WAITING.",
	}, func() float64 { return float64(waiting.Taken()) })
	f.NewCounterFunc(prometheus.CounterOpts{
		Name: "waybill_orders_watch_queries_total",
		Help: "Queries that read orders for clients that wait for them.",
	}, func() float64 { return float64(hub.Reads()) })
}
