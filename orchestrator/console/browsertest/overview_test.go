package browsertest

import "testing"

func TestOverview_LooksFine(t *testing.T) {
	t.Parallel()
	tab := open(t, adminToken)
	tab.visit("/")
	tab.awaitText("#live", "orders")
	tab.accessible()
	tab.shot("overview")
	tab.scheme("dark")
	tab.shot("overview-dark")
	tab.phone()
	tab.shot("overview-phone")
}
