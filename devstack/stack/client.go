package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
)

// Client acts on the stack that runs in a directory, from another process.
type Client struct {
	dir  string
	http *http.Client
}

// Dial returns a client for the stack in a directory. Close it after use.
func Dial(dir string) (*Client, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("locate the state directory: %w", err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socketFile(dir))
	}
	return &Client{dir: dir, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
}

// Close lets go of the connection.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Act does something to one process, and returns when it is done.
func (c *Client) Act(ctx context.Context, action Action, name string) error {
	_, err := c.do(ctx, http.MethodPost, "/processes/"+name+"/"+string(action))
	return err
}

// Status returns every process of the stack.
func (c *Client) Status(ctx context.Context) ([]Status, error) {
	body, err := c.do(ctx, http.MethodGet, "/processes")
	if err != nil {
		return nil, err
	}
	var all []Status
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("read the status of the stack: %w", err)
	}
	return all, nil
}

func (c *Client) do(ctx context.Context, method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://stack"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if _, unreachable := errors.AsType[*net.OpError](err); unreachable {
		return nil, fmt.Errorf("no stack runs in %s: `devstack up` starts one", c.dir)
	}
	if err != nil {
		return nil, fmt.Errorf("talk to the stack: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("talk to the stack: %w", err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return nil, errors.New(strings.TrimSpace(string(body)))
	}
	return body, nil
}
