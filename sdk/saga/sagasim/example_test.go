package sagasim_test

import (
	"fmt"
	"time"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/sagasim"
)

func ExampleRun() {
	type gift struct{ To string }
	body := func(c saga.Call[gift]) (any, error) { return c.Data, nil }
	patience := saga.RetryPolicy{Timeout: 5 * time.Second, MaxAttempts: 3}

	s := saga.Define[gift]("gift", 1)
	s.StartOn("GiftOrdered", saga.From(func(g gift) gift { return g }))
	s.Step("wrap").Send("Wrap", body).Success("Wrapped").Failure("NoPaper", nil).
		Wait(patience, "nobody wrapped it").Undo("Unwrap", body, "Unwrapped", patience)
	s.Step("send").Send("Send", body).Success("Sent").Wait(patience, "nobody sent it").
		Undo("CallBack", body, "CalledBack", patience)
	def, err := s.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	for seed := range uint64(50) {
		r, err := sagasim.Run(sagasim.Config{Seed: seed}, 10, []*saga.Definition{def})
		if err != nil || len(r.Violations) > 0 {
			fmt.Println(seed, err, r.Violations)
		}
	}
	fmt.Println("50 seeds hold")
	// Output: 50 seeds hold
}
