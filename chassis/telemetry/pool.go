package telemetry

import (
	"github.com/IBM/pgxpoolprometheus"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// Pool reports the connections of a pool to Postgres, as pgxpool_* with the label pool: how many
// there are and are in use, and how long they were waited for. It panics if the name was used
// before.
func Pool(reg prometheus.Registerer, name string, pool *pgxpool.Pool) {
	reg.MustRegister(pgxpoolprometheus.NewCollector(pool, map[string]string{"pool": name}))
}
