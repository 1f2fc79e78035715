package deadletters

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/console/internal/source"
)

// query makes the query of a path, without what is empty.
func query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// wait does n things at once.
func wait(n int, do func(i int)) {
	var doing sync.WaitGroup
	for i := range n {
		doing.Go(func() { do(i) })
	}
	doing.Wait()
}

// post asks a service for a change and decodes what came of it.
func post(ctx context.Context, c *source.Client, request apiclient.Request, into any) error {
	request.Method = http.MethodPost
	answer, err := c.Do(ctx, request)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("read what came of %s: %w", request.Path, err)
	}
	return nil
}
