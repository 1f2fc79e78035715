// Package observability holds the rules and the dashboards to Prometheus: they parse, and each
// alert fires when it should and not before. It is a module of its own, so that what Prometheus
// depends on chooses no version of what Waybill depends on. That the metrics exist which they name
// is a test of devstack/e2e, which sees the services.
package observability
