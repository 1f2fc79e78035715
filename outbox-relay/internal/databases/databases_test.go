package databases

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

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

// listed is the file of RELAY_DATABASES_FILE.
type listed struct {
	t    *testing.T
	path string
}

func newListed(t *testing.T, text string) listed {
	t.Helper()
	l := listed{t, filepath.Join(t.TempDir(), "databases")}
	t.Setenv("RELAY_DATABASES_FILE", l.path)
	l.write(text)
	return l
}

// write replaces the file as Kubernetes does.
func (l listed) write(text string) {
	l.t.Helper()
	require.NoError(l.t, os.WriteFile(l.path+".new", []byte(text), 0o600))
	require.NoError(l.t, os.Rename(l.path+".new", l.path))
}

func loaded(t *testing.T) Setting {
	t.Helper()
	var s Setting
	require.NoError(t, config.Load(&s))
	return s
}

func TestSetting_IsReadFromAFile(t *testing.T) {
	file := newListed(t, "orders=postgres://h/orders\norders-1=postgres://h1/orders\n")
	all, faults := loaded(t).Entries()
	require.Empty(t, faults)
	require.Equal(t, []Entry{{"orders", "postgres://h/orders"}, {"orders-1", "postgres://h1/orders"}}, all)

	t.Setenv("RELAY_DATABASES", "orders=postgres://h/orders")
	require.ErrorContains(t, config.Load(new(Setting)), "RELAY_DATABASES and RELAY_DATABASES_FILE are both set")
	t.Setenv("RELAY_DATABASES", "")
	file.write("")
	require.ErrorContains(t, config.Load(new(Setting)), "RELAY_DATABASES must list name=URL")
	require.NoError(t, os.Remove(file.path))
	require.ErrorContains(t, config.Load(new(Setting)), "RELAY_DATABASES_FILE")
}

// A file that is half written, that lacks a database, or that is gone takes no database away from a
// relay that runs, and gives it no old password: what was last known stays.
func TestSetting_CurrentFollowsTheFile(t *testing.T) { //nolint:paralleltest // it sets the environment
	const first, second = "postgres://u:one@h/orders", "postgres://u:two@h/orders"
	file := newListed(t, "orders="+first)
	synctest.Test(t, func(t *testing.T) {
		s := loaded(t)
		all, _ := s.Entries()
		current := s.Current(all[0])
		require.Equal(t, first, current())
		becomes := func(text, want string) {
			t.Helper()
			file.write(text)
			<-time.After(time.Second) // by the clock of the bubble: the file is read again
			require.Equal(t, want, current(), text)
		}
		becomes("stock=postgres://h/stock\norders="+second, second)
		for _, broken := range []string{"", "orders", "stock=postgres://h/stock", "orders=" + first + " and more"} {
			becomes(broken, second)
		}
		require.NoError(t, os.Remove(file.path))
		<-time.After(time.Second)
		require.Equal(t, second, current(), "no file")
		becomes("orders="+first, first)
	})
}

// A password that is changed in the database and in the file is used by the next connection, in a
// process that goes on.
func TestSetting_ADatabaseIsReachedWithTheFilesNewPassword(t *testing.T) { //nolint:paralleltest // it sets the environment
	server := pgtest.Private(t)
	db := server.New(t, migrations.Outbox)
	as := func(password string) string {
		u, err := url.Parse(db.URL)
		require.NoError(t, err)
		u.User = url.UserPassword("relay_rotated", password)
		return "orders=" + u.String()
	}
	_, err := db.Pool.Exec(t.Context(), `create role relay_rotated login password 'one' in role pg_read_all_data`)
	require.NoError(t, err)
	file := newListed(t, as("one"))
	opened, err := loaded(t).Open()
	require.NoError(t, err)
	defer Close(opened)
	asks := func() error {
		_, err := opened[0].Messages(t.Context(), "1", 1, false)
		return err
	}
	require.NoError(t, asks())

	rotate := fmt.Sprintf(`alter role relay_rotated password '%s'`, "two")
	_, err = db.Pool.Exec(t.Context(), rotate)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := db.Pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'relay_rotated'`)
		refused, ok := errors.AsType[*pgconn.PgError](asks())
		return err == nil && ok && refused.Code == "28P01"
	}, 30*time.Second, 10*time.Millisecond, "the old password is of no use any more")
	file.write(as("two"))
	require.Eventually(t, func() bool { return asks() == nil }, 30*time.Second, 50*time.Millisecond)
}
