package report_test

import (
	"os"
	"time"

	"waybill.example/drills/audit"
	"waybill.example/drills/report"
)

func ExampleAudit() {
	report.Audit(os.Stdout, audit.Report{At: time.Now(), Checks: []audit.Result{
		{Check: audit.Stock, Promise: audit.Stock.Promise(), Looked: 2},
		{Check: audit.Once, Promise: audit.Once.Promise(), Looked: 40},
	}})
	// Output:
	// CHECK   LOOKED AT   FOUND   PROMISE
	// stock   2           0       the movements of every sku add up to what is on hand and reserved
	// once    40          0       no message took effect twice
}
