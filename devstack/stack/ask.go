package stack

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// PingBroker returns an error unless a broker answers. Several addresses are separated by commas.
func PingBroker(ctx context.Context, addrs string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addrs, ",")...))
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Ping(ctx)
}

// AskReady returns an error unless a service says that it is ready, with what it says instead.
func AskReady(ctx context.Context, addr string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET /readyz answers %d: %s", response.StatusCode, strings.TrimSpace(string(answer)))
	}
	return err
}
