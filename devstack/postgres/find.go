package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"

	embedded "github.com/fergusstrange/embedded-postgres"

	"waybill.example/devstack/loopback"
)

// oldest is the first major version that has multiranges, which the outbox
// cursor is kept in.
const oldest = 14

// Installation is a directory with the server's programs.
type Installation struct {
	Bin   string // holds initdb and postgres
	Major int
}

// EnvVersion names the major version to use where any would do, to try the
// others: `make test-postgres PG=14`.
const EnvVersion = "WAYBILL_POSTGRES_VERSION"

// versions are the builds that are fetched for a major version.
var versions = map[string]embedded.PostgresVersion{
	"14": embedded.V14, "15": embedded.V15, "16": embedded.V16, "17": embedded.V17, "18": embedded.V18,
}

// Find returns the server programs of this machine: those in PATH, or the
// newest where Debian, Red Hat, Homebrew and Postgres.app put them. Without any
// it fetches a build into the user's cache directory and says so on progress.
func Find(ctx context.Context, progress io.Writer) (Installation, error) {
	wanted, fits := string(embedded.V17), func(major int) bool { return major >= oldest }
	if major := os.Getenv(EnvVersion); major != "" {
		version, known := versions[major]
		if !known {
			return Installation{}, fmt.Errorf("%s is %q: it must be one of 14 to 18", EnvVersion, major)
		}
		wanted, fits = string(version), func(have int) bool { return strconv.Itoa(have) == major }
	}
	for _, bin := range candidates(wanted) {
		if in, err := inspect(ctx, bin); err == nil && fits(in.Major) {
			return in, nil
		}
	}
	return fetch(ctx, progress, wanted)
}

// candidates lists directories that may hold a server, in order of preference;
// the last is where the wanted build was fetched to before.
func candidates(wanted string) []string {
	var bins []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			bins = append(bins, filepath.Dir(path))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
		"/usr/pgsql-*/bin",                                   // Red Hat
		"/opt/homebrew/opt/postgresql*/bin",                  // Homebrew on Apple silicon
		"/usr/local/opt/postgresql*/bin",                     // Homebrew on Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",     // Homebrew on Linux
		"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
		filepath.Join(cacheDir(), "postgres-"+wanted, "bin"), // fetched before
	} {
		found, _ := filepath.Glob(pattern) // fails on a bad pattern only
		slices.SortFunc(found, func(a, b string) int { return cmp.Compare(number(b), number(a)) })
		bins = append(bins, found...)
	}
	return bins
}

var digits = regexp.MustCompile(`\d+`)

// number returns the first number in a text, by which versions are ordered.
func number(text string) int {
	n, _ := strconv.Atoi(digits.FindString(text))
	return n
}

func inspect(ctx context.Context, bin string) (Installation, error) {
	if _, err := os.Stat(filepath.Join(bin, "initdb")); err != nil {
		return Installation{}, err
	}
	// "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return Installation{}, fmt.Errorf("ask %s for its version: %w", bin, err)
	}
	return Installation{Bin: bin, Major: number(string(out))}, nil
}

// fetch downloads a server through embedded-postgres. That library can only
// start a server, not just fetch one, and would start it as root, leave it
// unguarded and turn TCP on for all; so it is made to start a throw-away one,
// and only the programs are kept. As root its initdb refuses; by then the
// programs are there.
func fetch(ctx context.Context, progress io.Writer, wanted string) (Installation, error) {
	home := filepath.Join(cacheDir(), "postgres-"+wanted)
	fmt.Fprintf(progress, "no Postgres that would do is installed: fetching %s into %s\n", wanted, home)
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		return Installation{}, fmt.Errorf("fetch Postgres: %w", err)
	}
	scratch, err := os.MkdirTemp(filepath.Dir(home), "fetch-")
	if err != nil {
		return Installation{}, fmt.Errorf("fetch Postgres: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	port, err := loopback.FreePort()
	if err != nil {
		return Installation{}, err
	}
	programs := filepath.Join(scratch, "programs")
	server := embedded.NewDatabase(embedded.DefaultConfig().
		Version(embedded.PostgresVersion(wanted)).
		Port(uint32(port)). // a TCP port
		CachePath(filepath.Join(scratch, "archive")).
		RuntimePath(filepath.Join(scratch, "run")).
		BinariesPath(programs).
		Logger(io.Discard))
	if err = server.Start(); err == nil {
		err = server.Stop()
	}
	http.DefaultClient.CloseIdleConnections() // it fetches through this one
	if _, missing := inspect(ctx, filepath.Join(programs, "bin")); missing != nil {
		return Installation{}, fmt.Errorf("fetch Postgres for %s/%s (install Postgres %d or newer, or set %s to the URL of a server): %w",
			runtime.GOOS, runtime.GOARCH, oldest, EnvURL, errors.Join(err, missing))
	}
	// One rename, so that a fetch that was interrupted is not taken for whole.
	if err := os.Rename(programs, home); err != nil && !errors.Is(err, os.ErrExist) {
		return Installation{}, fmt.Errorf("fetch Postgres: %w", err)
	}
	return inspect(ctx, filepath.Join(home, "bin"))
}

// cacheDir is where fetched programs are kept. Root's own cache directory is
// closed to the user that the server runs as.
func cacheDir() string {
	if os.Getuid() == 0 {
		return "/var/cache/waybill"
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "waybill")
}
