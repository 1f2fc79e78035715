package postgres_test

import (
	"context"
	"fmt"
	"os"

	"waybill.example/devstack/postgres"
)

func Example() {
	server, err := postgres.Start(context.Background(), postgres.Config{Dir: "/tmp/mine", Progress: os.Stderr})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Kill()
	fmt.Println(server.URL("postgres"))
}
