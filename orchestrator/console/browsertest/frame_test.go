package browsertest

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

func TestFrame_EverythingIsReachedByKeys(t *testing.T) {
	t.Parallel()
	tab := open(t, operatorToken)
	order := tab.world.place(t, `{"userId":"u1","sku":"burger","quantity":1}`, true)

	tab.press("?")
	tab.await(`document.querySelector("#help").open`)
	tab.accessible()
	tab.press(kb.Escape)
	tab.await(`!document.querySelector("#help").open`)

	tab.press("/")
	tab.await(`document.activeElement.id === "search"`)
	tab.fill("#search", order) // which empties it first: chromedp may have typed the key, too
	tab.press(kb.Enter)
	tab.awaitText("h1", order)
	tab.awaitText("#live", "CONFIRMED")
	tab.accessible()
	tab.press("j")
	tab.await(`document.activeElement.matches("a.row")`)

	tab.press("g")
	tab.press("o")
	tab.awaitText("h1", "Overview")

	tab.press("p")
	tab.awaitText("#live-button", "Paused")
	tab.press("p")
	tab.awaitText("#live-button", "Live")
	const times = `document.querySelector("#times-button").innerText`
	before := eval[string](tab, times)
	tab.press("t")
	tab.await(fmt.Sprintf("%s !== %q", times, before))

	tab.press(kb.Tab)
	tab.visit("/")
	tab.press(kb.Tab)
	tab.await(`document.activeElement.className === "skip"`)
	tab.press(kb.Enter)
	tab.await(`location.hash === "#main"`)
}

func TestFrame_ThePaletteDoesWhatKeysDo(t *testing.T) {
	t.Parallel()
	tab := open(t, operatorToken)
	tab.visit("/find?q=nothing-of-this-name")
	tab.awaitText("#live", "Nothing has this id")
	tab.openPalette()
	tab.accessible()
	tab.shot("palette")
	tab.press("save" + kb.Enter)
	tab.awaitText("#views", "nothing-of-this-name")
	tab.openPalette()
	tab.press("go overview" + kb.Enter)
	tab.awaitText("h1", "Overview")
	tab.awaitText("#views", "nothing-of-this-name")
	tab.click("#views a")
	tab.awaitText("h1", "nothing-of-this-name")
	tab.openPalette()
	tab.press("4711 and more" + kb.Enter)
	tab.await(`new URLSearchParams(location.search).get("q") === "4711 and more"`)
}

// openPalette sends Ctrl+K, which the browser itself would take from a key that is typed.
func (b *tab) openPalette() {
	b.t.Helper()
	b.await(`document.dispatchEvent(new KeyboardEvent("keydown", {key: "k", ctrlKey: true, bubbles: true})) || document.querySelector("#palette").open`)
	b.await(`document.activeElement.id === "palette-input"`)
}

func TestFrame_SigningInAndOut(t *testing.T) {
	t.Parallel()
	tab := open(t, "")
	tab.visit("/sign-in?next=" + url.QueryEscape("/find?q=1"))
	tab.accessible()
	tab.shot("sign-in")
	tab.tolerate("401")
	tab.fill("#token", "not-a-token-of-anybody")
	tab.press(kb.Enter)
	tab.awaitText(".notice", "not one of those")
	tab.fill("#token", viewerToken)
	tab.press(kb.Enter)
	tab.await(`location.pathname === "/find"`)
	tab.awaitText(".who", "vic · viewer")
	require.NotContains(t, eval[string](tab, "document.cookie"), "waybill", "no script reads the session")
	tab.click(".who button")
	tab.await(`!document.querySelector(".who") && document.querySelector("a.tool[href*=sign-in]")`)
}

// What people type, or a client sends, is text wherever it is shown.
func TestFrame_ScriptsOfOthersStayText(t *testing.T) {
	t.Parallel()
	const script = `<script>window.hacked = true</script><img src=x onerror="window.hacked = true">`
	tab := open(t, operatorToken)
	tab.world.place(t, `{"userId":"<script>window.hacked = true</script>","sku":"<img src=x onerror=hacked()>","quantity":1,"note":"<script>window.hacked = true</script>"}`, true)
	for _, path := range []string{"/find?q=" + url.QueryEscape(script), "/", "/" + url.PathEscape(script)} {
		tab.tolerate("404")
		tab.visit(path)
		require.False(t, eval[bool](tab, "window.hacked === true"), path)
	}
}

// The relay is killed, and the page says so; it is started, and the page is fine again. It has a
// stack of its own only in that no other test may need the relay meanwhile.
func TestFrame_SaysThatAServiceDoesNotAnswer(t *testing.T) { //nolint:paralleltest // it kills the relay of all tests
	tab := open(t, adminToken)
	tab.visit("/")
	tab.awaitText("#live", "outbox-relay")
	require.NoError(t, tab.world.stack.Act(t.Context(), stack.Kill, stack.Relay))
	tab.awaitText("#notice-relay", "no relay answers")
	tab.awaitText("#notice-relay", "Shown is what it answered")
	tab.awaitText("#live", "relay does not answer")
	tab.accessible()
	tab.shot("relay-down")
	require.NoError(t, tab.world.stack.Act(t.Context(), stack.Start, stack.Relay))
	tab.await(`!document.querySelector("#notice-relay")`)
	tab.awaitGone("#live", "relay does not answer")
}
