package telemetry_test

import (
	"testing"

	"waybill.example/devstack/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
