package runner_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/upgrade"
)

type parcel struct {
	Item string `json:"item"`
}

// parcelSaga is a definition that a test changes in one respect.
type parcelSaga struct {
	version     int
	pack        string // the name of the first step
	refused     string // its failure, if any
	undo        bool
	wait        time.Duration
	unsuspected func(saga.Call[parcel]) (any, error)
}

func usual() parcelSaga {
	return parcelSaga{version: 1, pack: "pack", refused: "NotPacked", undo: true, wait: time.Minute}
}

func (p parcelSaga) build(t testing.TB) *saga.Definition {
	t.Helper()
	send := func(c saga.Call[parcel]) (any, error) { return c.Data, nil }
	if p.unsuspected != nil {
		send = p.unsuspected
	}
	wait := saga.RetryPolicy{Timeout: p.wait, MaxAttempts: 2}
	b := saga.Define[parcel]("parcel", p.version)
	b.To("parcel.commands.v1")
	b.StartOn("ParcelOrdered", saga.From(func(p parcel) parcel { return p }))
	pack := b.Step(p.pack).Send("Pack", send).Success("Packed").Wait(wait, "nobody packs")
	if p.refused != "" {
		pack.Failure(p.refused, nil)
	}
	if p.undo {
		pack.Undo("Unpack", send, "Unpacked", wait)
	} else {
		pack.NoUndo("who cares")
	}
	b.Step("ship").Send("Ship", send).Success("Shipped").Wait(wait, "nobody ships").NoUndo("gone is gone")
	def, err := b.Build()
	require.NoError(t, err)
	return def
}

// ship runs sagas up to where they wait: odd ones for Packed, even ones for Shipped.
func ship(t *testing.T, db *pgtest.Database, n int) {
	t.Helper()
	s := newSagas(t, db, usual().build(t))
	for i := range n {
		key := fmt.Sprint(i + 1)
		sent := apply(t, s, start, event{Message: saga.Message{ID: uuid.New(), Type: "ParcelOrdered", Key: key, Data: json.RawMessage(`{"item":"x"}`)}})
		if i%2 == 1 {
			apply(t, s, start, event{Message: saga.Message{ID: uuid.New(), Type: "Packed", Key: key, CausationID: sent[0].EventID, Data: json.RawMessage(`{}`)}})
		}
	}
}

func check(t *testing.T, db *pgtest.Database, defs ...*saga.Definition) upgrade.Report {
	t.Helper()
	r, err := saga.NewRegistry(defs...)
	require.NoError(t, err)
	report, err := upgrade.Check(t.Context(), db.Pool, r, upgrade.Options{})
	require.NoError(t, err)
	return report
}

// lines are the findings, a line each.
func lines(r upgrade.Report) string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, fmt.Sprintf("%s %s@%d %s: %s (%d: %s)", f.Kind, f.Definition, f.Version, f.Step, f.What, f.Sagas, strings.Join(f.Examples, " ")))
	}
	return strings.Join(all, "\n")
}

func TestUpgrade_TheSameDefinitionsHaveNoFinding(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ship(t, db, 4)
	patient := usual()
	patient.wait = time.Hour // how long is waited can change
	next := usual()
	next.version = 2
	next.pack = "wrap"
	r := check(t, db, patient.build(t), next.build(t))
	require.Empty(t, lines(r))
	require.EqualValues(t, 4, r.Sagas)
	require.Equal(t, 2, r.Classes)
	require.Greater(t, r.States, 10)
}

func TestUpgrade_FindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ship(t, db, 4)
	for name, c := range map[string]struct {
		change func(*parcelSaga)
		want   []string
	}{
		"a removed version": {func(p *parcelSaga) { p.version = 2 }, []string{
			"park parcel@1 : its version is not registered in this program: it would be suspended (4: 1 2 3 4)",
		}},
		"a step renamed": {func(p *parcelSaga) { p.pack = "wrap" }, []string{
			"park parcel@1 : the version was changed under its number",
			`contradict parcel@1 pack: step "pack" is called "wrap" now, and it has begun: its commands and replies would be another step's (4:`,
		}},
		"a reply type gone": {func(p *parcelSaga) { p.refused = "" }, []string{
			"park parcel@1 : the version was changed under its number",
			`hang parcel@1 pack: step "pack" does not know the reply NotPacked any more, and it waits for that: the reply would be ignored (2: `,
		}},
		"an undo gone": {func(p *parcelSaga) { p.undo = false }, []string{
			"park parcel@1 : the version was changed under its number",
			`leak parcel@1 pack: step "pack" lost its undo Unpack, and it was or may be done: nothing would take it back (4:`,
		}},
		"a command that fails on the data": {func(p *parcelSaga) {
			p.unsuspected = func(c saga.Call[parcel]) (any, error) { return nil, fmt.Errorf("no address for %s", c.Data.Item) }
		}, []string{"build Pack: no address for x", "build Ship: no address for x"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := usual()
			c.change(&p)
			found := lines(check(t, db, p.build(t)))
			for _, want := range c.want {
				require.Contains(t, found, want)
			}
		})
	}
}

func TestUpgrade_FindsStatesThatDoNotDecode(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ship(t, db, 3)
	_, err := db.Pool.Exec(t.Context(), `update sagas set data = '{"item":7}' where id = '1';
		update sagas set steps = '[{"attempt":"many"}]' where id = '2'`)
	require.NoError(t, err)
	found := lines(check(t, db, usual().build(t)))
	require.Contains(t, found, "unreadable parcel@1 : its data does not decode: json: cannot unmarshal number")
	require.Contains(t, found, "unreadable parcel@1 : steps of saga 2: json: cannot unmarshal string")
	require.Equal(t, 2, strings.Count(found, "\n")+1)
}

// It must be possible to run it against a database that must not be changed, with a role that
// cannot.
func TestUpgrade_ARoleThatMayOnlyReadSuffices(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ship(t, db, 2)
	before := tables(t, db)
	role := "reader_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	_, err := db.Pool.Exec(t.Context(), "create role "+role+"; grant select on sagas, saga_definitions to "+role)
	require.NoError(t, err)
	config := db.Pool.Config()
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "set role "+role)
		return err
	}
	reader, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() {
		reader.Close()
		_, err := db.Pool.Exec(context.WithoutCancel(t.Context()), "drop owned by "+role+"; drop role "+role)
		require.NoError(t, err)
	})
	_, err = reader.Exec(t.Context(), "update sagas set step = step")
	require.ErrorContains(t, err, "permission denied")
	r, err := saga.NewRegistry(usual().build(t))
	require.NoError(t, err)
	report, err := upgrade.Check(t.Context(), reader, r, upgrade.Options{})
	require.NoError(t, err)
	require.EqualValues(t, 2, report.Sagas)
	require.Equal(t, before, tables(t, db))
}

func tables(t *testing.T, db *pgtest.Database) (n int64) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select sum(revision) from sagas").Scan(&n))
	return n
}

// A hundred thousand open sagas are read in one pass, and those alike are explored once.
func TestUpgrade_ReadsAHundredThousandSagas(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("reads 100,000 sagas")
	}
	db := newDB(t)
	ship(t, db, 2)
	_, err := db.Pool.Exec(t.Context(), `insert into sagas
		select (jsonb_populate_record(s, jsonb_build_object('id', s.id || 'n' || n))).* from sagas s, generate_series(1, 50000) n`)
	require.NoError(t, err)
	r := check(t, db, usual().build(t))
	require.Empty(t, lines(r))
	require.EqualValues(t, 100_002, r.Sagas)
	require.Equal(t, 2, r.Classes)
	t.Logf("%d sagas, %d classes, %d states: %s", r.Sagas, r.Classes, r.States, r.Took)
}
