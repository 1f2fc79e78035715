package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/process"
	"waybill.example/devstack/stack"
)

// waitTimeout bounds every wait. The machine may be busy with other tests.
const waitTimeout = 2 * time.Minute

// build compiles the programs once for all tests.
var build = sync.OnceValues(func() (string, error) {
	workspace, err := stack.Workspace(".")
	if err != nil {
		return "", err
	}
	return stack.Build(context.Background(), workspace, io.Discard)
})

// system is a running stack, seen from outside: its supervisor's output, the
// directory, and HTTP.
type system struct {
	dir        string
	supervisor *process.Process
	output     *process.Buffer
}

// newDir makes a state directory that goes with the test.
func newDir(t *testing.T) string {
	t.Helper()
	dir, remove, err := stack.TempDir("e2e")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, remove()) })
	return dir
}

// launch runs `devstack up` in a directory, with settings added to the
// environment, and does not wait for anything.
func launch(t *testing.T, dir string, env ...string) *system {
	t.Helper()
	bin, err := build()
	require.NoError(t, err)
	s := &system{dir: dir, output: new(process.Buffer)}
	s.supervisor, err = process.Start(process.Command{
		Name:   "devstack",
		Path:   filepath.Join(bin, "devstack"),
		Args:   []string{"up", "--quiet", "--ephemeral-ports", "--dir=" + dir},
		Env:    append(os.Environ(), env...),
		Output: s.output,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = s.supervisor.Stop(context.WithoutCancel(t.Context()))
		if t.Failed() {
			t.Logf("the supervisor wrote:\n%s", s.output)
		}
	})
	return s
}

// start runs `devstack up` and waits until everything is ready.
func start(t *testing.T, dir string, env ...string) *system {
	t.Helper()
	s := launch(t, dir, env...)
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	require.NoError(t, s.supervisor.AwaitReady(ctx, func(context.Context) error {
		if !strings.Contains(s.output.String(), "everything is ready") {
			return fmt.Errorf("not yet")
		}
		return nil
	}))
	return s
}

func (s *system) process(t *testing.T, name string) stack.Process {
	t.Helper()
	state, err := stack.Read(s.dir)
	require.NoError(t, err)
	p, ok := state.Process(name)
	require.True(t, ok, name)
	return p
}

// pids returns the process ids of everything that runs.
func (s *system) pids(t *testing.T) (pids []int) {
	t.Helper()
	state, err := stack.Read(s.dir)
	require.NoError(t, err)
	for _, p := range state.Processes {
		if p.Pid != 0 {
			pids = append(pids, p.Pid)
		}
	}
	return pids
}

// killByHand does what a person does with the pid from stack.json.
func (s *system) killByHand(t *testing.T, name string) {
	t.Helper()
	pid := s.process(t, name).Pid
	require.NotZero(t, pid, "%s does not run", name)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	await(t, name+" is gone", func() bool { return s.process(t, name).Pid == 0 })
}

// act runs `devstack start NAME` and the like.
func (s *system) act(t *testing.T, action stack.Action, name string) {
	t.Helper()
	client, err := stack.Dial(s.dir)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.Act(t.Context(), action, name))
}

func (s *system) url(t *testing.T, name, path string) string {
	t.Helper()
	return "http://" + s.process(t, name).Addr + path
}

// order is an order as GET /v1/orders/{id} shows it.
type order struct {
	ID       int64  `json:"id"`
	UserID   string `json:"userId"`
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
	Note     string `json:"note"`
	Status   string `json:"status"`
	Reason   string `json:"reason"`
}

func (o order) terminal() bool { return o.Status == "CONFIRMED" || o.Status == "CANCELLED" }

// place posts an order, which must be accepted.
// place places an order as a client should: what a busy service did not answer in time is sent
// again under the same key.
func (s *system) place(t *testing.T, body string) (id int64) {
	t.Helper()
	var status int
	var answer string
	key := uuid.NewString()
	await(t, "an order is taken", func() bool {
		status, answer, _ = call(t, http.MethodPost, s.url(t, stack.Orders, "/v1/orders"), body, "Idempotency-Key", key)
		return status != http.StatusServiceUnavailable
	})
	require.Equal(t, http.StatusAccepted, status, answer)
	var placed struct {
		ID int64 `json:"id"`
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &placed))
	return placed.ID
}

// outcome waits until an order has reached its end.
func (s *system) outcome(t *testing.T, id int64) (o order) {
	t.Helper()
	await(t, fmt.Sprintf("order %d is terminal", id), func() bool {
		require.NoError(t, json.Unmarshal([]byte(show(t, s.url(t, stack.Orders, fmt.Sprintf("/v1/orders/%d", id)))), &o))
		return o.terminal()
	})
	return o
}

// stock is what the shelf holds of a sku.
type stock struct {
	OnHand   int `json:"onHand"`
	Received int `json:"received"`
}

func (s *system) stock(t *testing.T, sku string) (level stock) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(show(t, s.url(t, stack.Inventory, "/v1/stock/"+sku))), &level))
	return level
}

// client keeps no connections that goleak would take for a leak.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// call makes a request and returns the answer's status, body and header.
func call(t *testing.T, method, url, body string, headers ...string) (int, string, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(answer), response.Header
}

// show returns what is at url, from a service that may be too busy to answer in time.
func show(t *testing.T, url string) (answer string) {
	t.Helper()
	var status int
	await(t, url+" is shown", func() bool {
		status, answer, _ = call(t, http.MethodGet, url, "")
		return status != http.StatusServiceUnavailable
	})
	require.Equal(t, http.StatusOK, status, answer)
	return answer
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(waitTimeout); !condition(); {
		require.True(t, time.Now().Before(deadline), "waited %s: %s", waitTimeout, what)
		<-time.After(20 * time.Millisecond)
	}
}

// gone reports whether a process has ended. One that nobody has waited for yet
// has no command line any more, though its id is still taken.
func gone(pid int) bool { return process.Program(pid) == "" }
