package audit_test

import (
	"context"
	"fmt"
	"time"

	"waybill.example/drills/audit"
)

func Example() {
	ctx := context.Background()
	auditor, err := audit.New(ctx, audit.Config{
		Databases: map[string]string{
			"orders":       "postgres://localhost/orders",
			"inventory":    "postgres://localhost/inventory",
			"orchestrator": "postgres://localhost/orchestrator",
		},
		Brokers: []string{"localhost:19092"},
		Limits:  audit.Limits{Settle: 2 * time.Second, Overdue: 5 * time.Minute},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer auditor.Close()
	report, err := auditor.Pass(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range report.Findings() {
		fmt.Printf("%s: %s: %s\n    %s\n", f.Check, f.Subject, f.Problem, f.Repair)
	}
}
