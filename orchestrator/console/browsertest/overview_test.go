package browsertest

import (
	"fmt"
	"testing"
)

// The first screen says how everything is: of orders that went through, of one that was refused.
func TestOverview_ShowsHowEverythingIs(t *testing.T) {
	t.Parallel()
	tab := open(t, adminToken)
	for n := range 12 {
		tab.world.place(t, fmt.Sprintf(`{"userId":"u%d","sku":"burger","quantity":1}`, n), false)
	}
	tab.world.place(t, `{"userId":"u1","sku":"unicorn","quantity":1}`, true)
	tab.visit("/")
	tab.awaitText("#live", "CANCELLED")
	tab.awaitText("#live", "CONFIRMED")
	tab.awaitText("#live", "orders.v1")
	tab.await(`document.querySelector("#plot-throughput canvas") && document.querySelector("#plot-duration canvas")`)
	tab.accessible()
	tab.shot("overview")
	tab.scheme("dark")
	tab.shot("overview-dark")
	tab.phone()
	tab.shot("overview-phone")
}
