package databases

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
)

func TestSetting_AreToldApartWhateverTheirURLsHold(t *testing.T) {
	t.Parallel()
	const orders, several = "postgres://u:p@h/orders", "postgresql://u:p,;=x@h1:1,h2:2/inventory?target_session_attrs=read-write"
	want := []Entry{{"orders", orders}, {"inventory", several}, {"a-b", "postgres://h/c"}}
	for _, separator := range []string{",", ";", " ", "\n", ", ", ";\n", "\t"} {
		list := "orders=" + orders + separator + "inventory=" + several + separator + "a-b=postgres://h/c"
		got, faults := Setting{config.Secret(list)}.Entries()
		require.Empty(t, faults, "%q", list)
		require.Equal(t, want, got, "%q", list)
		got, faults = Setting{config.Secret("\n" + list + separator + "\n")}.Entries()
		require.Empty(t, faults)
		require.Equal(t, want, got)
	}
	for list, fault := range map[string]string{
		"": "must list name=URL", " ,": "must list name=URL", "orders": "the first entry", orders: "the first entry", "x,orders=" + orders: "the first entry",
		"a=" + orders + ",a=" + several: "names a twice", "a=" + orders + " and more": "what follows the URL of a", "a=" + orders + " b=" + "mysql://h/b": "what follows the URL of a",
	} {
		_, faults := Setting{config.Secret(list)}.Entries()
		require.ErrorContains(t, errors.Join(faults...), fault, "%q", list)
		require.NotContains(t, errors.Join(faults...).Error(), "u:p")
	}
}
