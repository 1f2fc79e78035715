package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"waybill.example/chassis/apiclient"
)

// errNotFound says that a service answered, and does not know what was asked for.
var errNotFound = errors.New("not found")

// get decodes the JSON answer of a path into answer. Its errors are for people to read.
func get(ctx context.Context, c *apiclient.Client, path string, answer any) error {
	body, err := c.Do(ctx, apiclient.Request{Path: path})
	if err != nil {
		return words(err)
	}
	if json.Unmarshal(body, answer) != nil {
		return unexpected(c)
	}
	return nil
}

func unexpected(c *apiclient.Client) error {
	return fmt.Errorf("the answer of %s is not as expected", c.URL())
}

// words is an error in the words of a report, in which the service has been named.
func words(err error) error {
	if apiclient.NotFound(err) {
		return errNotFound
	}
	if unreachable, ok := errors.AsType[*apiclient.Unreachable](err); ok {
		return errors.New(unreachable.Why())
	}
	return err
}

// Health returns what a process says is wrong with it, whether it calls itself ready or not; empty:
// nothing. The error says why it did not answer.
func Health(ctx context.Context, c *apiclient.Client) (string, error) {
	body, err := c.Do(ctx, apiclient.Request{Path: "/readyz"})
	if refusal, ok := errors.AsType[*apiclient.Refusal](err); ok && refusal.Status == http.StatusServiceUnavailable {
		body, err = refusal.Body, nil
	}
	if err != nil {
		return "", words(err)
	}
	var ready struct{ Checks map[string]string }
	if json.Unmarshal(body, &ready) != nil {
		return "", unexpected(c)
	}
	var problems []string
	for _, check := range slices.Sorted(maps.Keys(ready.Checks)) {
		if what := ready.Checks[check]; what != "ok" {
			problems = append(problems, check+": "+what)
		}
	}
	return strings.Join(problems, "; "), nil
}
