package inbox_test

import (
	"testing"

	"waybill/devstack/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
