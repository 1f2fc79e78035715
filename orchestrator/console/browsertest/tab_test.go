package browsertest

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

// patience is for what comes within a moment on a machine that has nothing else to do.
const patience = 2 * time.Minute

//go:embed testdata/axe/axe.min.js
var axe string

// tab is a tab of the browser, with cookies of its own. Its methods fail the test that it is of.
type tab struct {
	t     *testing.T
	world *world
	ctx   context.Context //nolint:containedctx // chromedp's way to name a tab

	mu        sync.Mutex
	errors    []string // what the browser's console has shown
	tolerated []string
}

// open opens a tab, signed in with a token unless it is empty. What the browser's console shows as
// an error fails the test at its end.
func open(t *testing.T, token string) *tab {
	t.Helper()
	w := theWorld(t)
	ctx, cancel := chromedp.NewContext(w.browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	tab := &tab{t: t, world: w, ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, tab.listen))
	tab.run(chromedp.EmulateViewport(1440, 900))
	t.Cleanup(func() {
		tab.mu.Lock()
		defer tab.mu.Unlock()
		if len(tab.errors) > 0 {
			t.Errorf("the browser's console shows errors:\n%s", strings.Join(tab.errors, "\n"))
		}
	})
	if token != "" {
		tab.signIn(token)
	}
	return tab
}

// tolerate has errors of the browser's console that contain a text pass: of a request that is meant
// to be refused.
func (b *tab) tolerate(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tolerated = append(b.tolerated, text)
}

func (b *tab) listen(event any) {
	var text string
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
		if thrown := e.ExceptionDetails.Exception; thrown != nil {
			text += " " + thrown.Description
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type != runtime.ConsoleAPICalledTypeError && e.Type != runtime.ConsoleAPICalledTypeWarning {
			return
		}
		for _, arg := range e.Args {
			text += string(arg.Value) + arg.Description + " "
		}
	case *log.EventEntryAdded:
		if e.Entry.Level != log.EntryLevelError && e.Entry.Level != log.EntryLevelWarning {
			return
		}
		text = fmt.Sprintf("%s %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL)
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.ContainsFunc(b.tolerated, func(s string) bool { return strings.Contains(text, s) }) {
		b.errors = append(b.errors, text)
	}
}

// run does something in the tab.
func (b *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	value(b, chromedp.Steps(steps...))
}

// value does something in the tab that has a result.
func value[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	require.NoError(b.t, err, "the page shows:\n%s", b)
	return result
}

// String is what the page shows, for the message of a test that fails.
func (b *tab) String() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
	if err != nil {
		return "nothing: " + err.Error()
	}
	return text
}

// visit loads a page of the console.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.world.url(stack.Orchestrator) + path))
	b.await(`window.htmx && document.readyState === "complete"`)
}

// becomes opens the page of an order's saga, which may not have begun, and waits until it shows a
// text.
func (b *tab) becomes(order, text string) {
	b.t.Helper()
	path := "/sagas/order/" + order
	b.tolerate("404 (Not Found) (" + b.world.url(stack.Orchestrator) + path + ")")
	b.visit(path)
	b.awaitText("#live", text)
}

func (b *tab) signIn(token string) {
	b.t.Helper()
	b.visit("/sign-in")
	b.fill("#token", token)
	b.press(kb.Enter)
	b.await(`location.pathname === "/" && document.readyState === "complete"`)
}

// await waits until a JavaScript expression is true, also where the page is left for another
// meanwhile.
func (b *tab) await(expression string) {
	b.t.Helper()
	if !b.within(patience, expression) {
		require.FailNow(b.t, "waited in vain for "+expression, "the page shows:\n%s", b)
	}
}

// within reports whether an expression becomes true in time.
func (b *tab) within(limit time.Duration, expression string) bool {
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		if is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")")); err == nil && is {
			return true
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return false
		}
	}
}

// until does something again, as a person does who sees that it was not taken, until the first
// element of a selector contains a text.
func (b *tab) until(selector, text string, do func()) {
	b.t.Helper()
	for range 6 {
		do()
		if b.within(patience/6, fmt.Sprintf("document.querySelector(%q)?.innerText.includes(%q)", selector, text)) {
			return
		}
	}
	b.awaitText(selector, text)
}

// awaitText waits until the first element of a selector contains a text.
func (b *tab) awaitText(selector, text string) {
	b.t.Helper()
	b.await(fmt.Sprintf("document.querySelector(%q)?.innerText.includes(%q)", selector, text))
}

// awaitGone waits until the first element of a selector is not there, or does not contain a text.
func (b *tab) awaitGone(selector, text string) {
	b.t.Helper()
	b.await(fmt.Sprintf("!document.querySelector(%q)?.innerText.includes(%q)", selector, text))
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.run(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

func (b *tab) fill(selector, text string) {
	b.t.Helper()
	b.run(chromedp.WaitVisible(chromedp.CSS(selector)))
	eval[bool](b, fmt.Sprintf("document.querySelector(%q).value = '', true", selector))
	b.run(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// press presses keys, wherever the focus is, once the page listens for them.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.await(`document.readyState === "complete"`)
	b.run(chromedp.KeyEvent(keys))
}

// eval returns the value of a JavaScript expression, which may be a promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return value(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// scheme has the page drawn as in a light or a dark browser.
func (b *tab) scheme(name string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
	require.NoError(b.t, err)
}

// phone has the page drawn as on a phone, where neither it nor a table of what can be changed
// scrolls sideways.
func (b *tab) phone() {
	b.t.Helper()
	b.run(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2)))
	require.False(b.t, eval[bool](b, "document.documentElement.scrollWidth > innerWidth"), "the page scrolls sideways on a phone")
	require.Empty(b.t, eval[[]string](b, `[...document.querySelectorAll("table.stacked :is(button, summary.button)")].filter(e =>
		e.checkVisibility() && e.getBoundingClientRect().right > innerWidth).map(e => e.textContent)`), "buttons that a phone does not show")
}

// finding is what axe has found.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// accessible has axe look at the page, in light and in dark: nothing serious may be wrong.
func (b *tab) accessible() {
	b.t.Helper()
	eval[bool](b, axe+";true")
	for _, scheme := range []string{"dark", "light"} {
		b.scheme(scheme)
		found := eval[[]finding](b, `axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => r.violations)`)
		for _, f := range found {
			if f.Impact == "serious" || f.Impact == "critical" {
				for _, n := range f.Nodes[:min(3, len(f.Nodes))] {
					b.t.Errorf("axe, %s: %s (%s): %s\n%s", scheme, f.ID, f.Help, n.HTML, n.FailureSummary)
				}
			}
		}
	}
}

// screenshots names the directory that shot writes to; empty: nowhere.
const screenshots = "WAYBILL_SCREENSHOTS"

// shot keeps what the page looks like, under a name, where screenshots are asked for.
func (b *tab) shot(name string) {
	b.t.Helper()
	dir := os.Getenv(screenshots)
	if dir == "" {
		return
	}
	png := value(b, chromedp.CaptureScreenshot())
	require.NoError(b.t, os.MkdirAll(dir, 0o755))
	require.NoError(b.t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600))
}
