package drill_test

import (
	"context"
	"fmt"
	"os"

	"waybill.example/drills/drill"
	"waybill.example/drills/report"
)

func Example() {
	d, _ := drill.ByName("kafka-down")
	outcome, err := drill.Run(context.Background(), d, drill.Options{
		Workspace: ".", Dir: ".waybill/drill", Rate: 200, Seed: 1,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	report.Verdict(os.Stdout, outcome)
}
