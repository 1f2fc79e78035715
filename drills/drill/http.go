package drill

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// get returns what a service answers.
func get(ctx context.Context, url string) (status int, answer string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, string(body), err
}

// metric returns the sum of a metric's series that a service shows.
func metric(ctx context.Context, addr, name string) (sum float64, err error) {
	_, page, err := get(ctx, "http://"+addr+"/metrics")
	if err != nil {
		return 0, err
	}
	found := false
	for line := range strings.Lines(page) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if base, _, _ := strings.Cut(series, "{"); !ok || base != name {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("read the metric %s: %w", name, err)
		}
		sum, found = sum+n, true
	}
	if !found {
		return 0, fmt.Errorf("%s shows no metric %s", addr, name)
	}
	return sum, nil
}
