package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
)

// errNotFound says that a service answered, and does not know what was asked for.
var errNotFound = errors.New("not found")

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 8 << 20

// client asks one service. Its errors are for people to read, and name no secret.
type client struct{ url, token string }

// sender follows no redirect: the token is for the address that the settings name.
var sender = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// get decodes the JSON answer of a path into answer, which fits what status 200 and those of also
// come with.
func (c client) get(ctx context.Context, path string, answer any, also ...int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base()+path, nil)
	if err != nil {
		return errors.New("its URL is not valid")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := sender.Do(request)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s", c.base())
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer from %s within %s: it is frozen, overloaded or cut off", c.base(), timeout)
	case err != nil:
		return fmt.Errorf("no connection to %s", c.base())
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the answer of %s broke off", c.base())
	}
	if err := refusal(response.StatusCode, body, also); err != nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("the answer of %s is not as expected", c.base())
	}
	return nil
}

func (c client) base() string { return strings.TrimSuffix(c.url, "/") }

// refusal is what a status other than those that are wanted means.
func refusal(status int, body []byte, also []int) error {
	if status == http.StatusOK || slices.Contains(also, status) {
		return nil
	}
	var problem struct{ Detail string }
	_ = json.Unmarshal(body, &problem) // not every answer is a problem
	switch {
	case status == http.StatusNotFound:
		return errNotFound
	case problem.Detail != "":
		return fmt.Errorf("status %d: %s", status, problem.Detail)
	default:
		return fmt.Errorf("status %d", status)
	}
}
