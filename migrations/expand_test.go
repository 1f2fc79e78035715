package migrations_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"waybill.example/migrations"
)

// first is what the first release has: up to there files go from nothing to it in one step, and no
// service runs in between.
var first = map[migrations.Set]int64{
	migrations.Outbox: 14, migrations.Participant: 1, migrations.Orders: 5, migrations.Inventory: 5, migrations.Orchestrator: 14,
}

// A rule is a statement that needs a word with it, because services of the previous release run
// while it runs and after it.
type rule struct {
	statement *regexp.Regexp // its first group, if any, is the table
	word, why string
}

var rules = []rule{
	{regexp.MustCompile(`(?im)\bdrop\s+(?:table|column|view|function|domain|type)\b`), "contract:", "takes away what a previous service may use"},
	{regexp.MustCompile(`(?im)\brename\b`), "contract:", "renames what a previous service uses"},
	{regexp.MustCompile(`(?ims)\balter\s+table\s+(?:only\s+)?(\w+)[^;]*\balter\s+(?:column\s+)?\w+\s+(?:set\s+data\s+)?type\b`), "locks:", "rewrites the table while nobody can read it"},
	{regexp.MustCompile(`(?ims)\balter\s+table\s+(?:only\s+)?(\w+)[^;]*\bset\s+not\s+null\b`), "locks:", "reads the table while nobody can write it, and refuses rows of a previous service"},
	{regexp.MustCompile(`(?ims)\balter\s+table\s+(?:only\s+)?(\w+)[^;]*\badd\s+constraint\s+\w+\s+(?:check|foreign)\b[^;]*?\)\s*(?:;|,)`), "locks:", "reads the table while nobody can write it; add it not valid, and validate it"},
	{regexp.MustCompile(`(?im)\bcreate\s+(?:unique\s+)?index\s+\w+\s+on\s+(\w+)`), "locks:", "nobody can write the table meanwhile; create it concurrently"},
}

// violations returns the statements of a migration that need a word which it does not have: a
// comment that begins with it, and says why nobody is hurt.
func violations(text string) (all []string) {
	up, _, _ := strings.Cut(text, "-- +goose Down")
	statements := regexp.MustCompile(`(?m)--.*$`).ReplaceAllString(up, "")
	for _, r := range rules {
		for _, m := range r.statement.FindAllStringSubmatch(statements, -1) {
			if len(m) > 1 && regexp.MustCompile(`(?i)create\s+table\s+(if\s+not\s+exists\s+)?`+m[1]+`\b`).MatchString(statements) {
				continue // a table of this migration is empty, and nobody uses it yet
			}
			if !strings.Contains(up, "-- "+r.word) {
				all = append(all, strings.Join(strings.Fields(m[0]), " ")+" "+r.why+"; say why that is right in a comment `-- "+r.word+" …`")
			}
		}
	}
	return all
}

// docs/upgrading.md: a migration adds, and takes away only what no running release uses.
func TestMigrations_OnlyAdd(t *testing.T) {
	t.Parallel()
	for _, set := range migrations.Sets() {
		files, err := filepath.Glob(string(set) + "/*.sql")
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			version, err := goose.NumericComponent(file)
			require.NoError(t, err)
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			if version > first[set] {
				require.Empty(t, violations(string(text)), file)
			}
		}
	}
}

// A check that finds nothing proves nothing.
func TestMigrations_TheCheckFindsWhatHurts(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"alter table orders drop column note;", "drop view outbox_status;", "alter table sagas rename column a to b;",
		"alter table orders alter column note type varchar(10);", "alter table orders\n    alter column note set not null;",
		"alter table orders add constraint noted check (note <> '');", "create unique index orders_note on orders (note);",
	} {
		require.Len(t, violations("-- +goose Up\n"+sql+"\n-- +goose Down\n"), 1, sql)
		require.Empty(t, violations("-- +goose Up\n-- contract: since v0.2 nobody reads it.\n-- locks: a table of a hundred rows.\n"+sql), sql)
	}
	for _, sql := range []string{
		"alter table orders add column note text;", "create table n (id int);\ncreate index n_id on n (id);",
		"create index concurrently orders_note on orders (note);", "alter table orders add constraint noted check (note <> '') not valid;",
		"alter table orders validate constraint noted;", "-- drop table orders;", "-- +goose Down\ndrop table orders;",
	} {
		require.Empty(t, violations("-- +goose Up\n"+sql), sql)
	}
}
