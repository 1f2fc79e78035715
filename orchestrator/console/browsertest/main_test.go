package browsertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/loopback"
	"waybill.example/devstack/stack"
)

// Tokens of the roles, which all services of the stack know.
const (
	viewerToken   = "viewer-token-of-the-tests"
	operatorToken = "operator-token-of-the-tests"
	adminToken    = "admin-token-of-the-tests"
)

// world is the stack and the browser that all tests share. It starts with the first test that needs
// it: a stack costs seconds.
type world struct {
	stack   *stack.Stack
	browser context.Context //nolint:containedctx // chromedp's way to name a browser
	audit   string          // where the audit beside the system answers, once it runs
	dir     string
	log     bytes.Buffer
	err     error
	close   []func()
}

var shared struct {
	once sync.Once
	world
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, c := range slices.Backward(shared.close) {
		c()
	}
	os.Exit(code)
}

// chromium is Chromium under one of its names, "" if it is not installed.
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// theWorld starts the stack and the browser, or skips the test where there is no browser.
func theWorld(t *testing.T) *world {
	t.Helper()
	if chromium() == "" {
		t.Skip("Chromium is not installed: no browser to try the console in (apt-get install chromium, or .ci/setup)")
	}
	shared.once.Do(func() {
		if shared.err = shared.start(); shared.err == nil {
			shared.history(t)
		}
	})
	require.NoError(t, shared.err, shared.log.String())
	return &shared.world
}

func (w *world) start() error {
	// Detached: all tests share it, not the first one alone.
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	dir, remove, err := stack.TempDir("console")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	w.close = append(w.close, func() { _ = remove() })
	w.dir = dir
	port, err := loopback.FreePort()
	if err != nil {
		return err
	}
	w.audit = loopback.Addr(port)
	workspace, err := stack.Workspace(".")
	if err != nil {
		return fmt.Errorf("find the source tree: %w", err)
	}
	for _, service := range []string{"ORDERS", "INVENTORY", "ORCHESTRATOR", "RELAY"} {
		tokens := "ada:admin=" + adminToken + ",olga:operator=" + operatorToken + ",vic:viewer=" + viewerToken
		if err := os.Setenv(service+"_ADMIN_TOKENS", tokens); err != nil {
			return fmt.Errorf("set the tokens: %w", err)
		}
	}
	w.stack, err = stack.Up(ctx, stack.Config{
		Workspace: workspace, Dir: dir, EphemeralPorts: true, Console: stack.NewConsole(&w.log, false),
		Env: map[string][]string{stack.Orchestrator: {"AUDIT_URL=http://" + w.audit}},
	})
	if err != nil {
		return fmt.Errorf("start the stack: %w", err)
	}
	w.close = append(w.close, func() { _ = w.stack.Down(context.Background()) })
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(chromium()), chromedp.NoSandbox, chromedp.WindowSize(1440, 900),
		chromedp.UserDataDir(filepath.Join(dir, "chromium")), chromedp.Env("TMPDIR="+dir), // it leaves files when it is killed
		chromedp.WSURLReadTimeout(time.Minute))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	w.close = append(w.close, stop)
	w.browser, stop = chromedp.NewContext(allocator)
	w.close = append(w.close, stop)
	if err := chromedp.Do(w.browser); err != nil {
		return fmt.Errorf("start %s: %w", chromium(), err)
	}
	return nil
}

// url is where a process of the stack answers HTTP.
func (w *world) url(process string) string {
	p, _ := w.stack.State().Process(process)
	return "http://" + p.Addr
}

// place places an order, and returns its id once its saga has ended, unless wait is false.
func (w *world) place(t *testing.T, body string, wait bool) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url(stack.Orders)+"/v1/orders", strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	if wait {
		request.Header.Set("Prefer", "wait=20")
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var order struct {
		ID json.Number `json:"id"`
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&order))
	require.Less(t, response.StatusCode, 300, "%v", order)
	return order.ID.String()
}
