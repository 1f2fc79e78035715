// Package databases is the setting RELAY_DATABASES: which databases the relay and its verbs are
// about.
package databases

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"waybill.example/chassis/config"
	"waybill.example/outbox-relay/internal/ops"
)

// Setting is what the relay and every verb need. Load it with chassis/config.
type Setting struct {
	// List has the databases to relay, name=URL, separated by commas, semicolons or white space.
	// The name is part of each message's ce_source.
	List config.Secret `env:"RELAY_DATABASES"`
}

// Validate returns every fault of the settings.
func (c Setting) Validate() []error {
	_, faults := c.Entries()
	return faults
}

// Entry is one database of the setting.
type Entry struct{ Name, URL string }

// An entry begins where a name and the scheme of a URL follow a separator, and nowhere else: a URL
// may list several hosts by commas, and its password may have anything in it.
var entryBegins = regexp.MustCompile(`(?:^|[,;\s])\s*([^\s,;=/:@]+)=postgres(?:ql)?://`)

// Entries returns the databases in the order of the setting, or every fault of it.
func (c Setting) Entries() (all []Entry, faults []error) {
	const wanted = "RELAY_DATABASES must list name=URL, separated by commas, semicolons or white space"
	list := string(c.List)
	if strings.Trim(list, ",; \t\r\n") == "" {
		return nil, []error{errors.New(wanted)}
	}
	begins := entryBegins.FindAllStringSubmatchIndex(list, -1)
	if len(begins) == 0 || strings.Trim(list[:begins[0][0]], ",; \t\r\n") != "" {
		return nil, []error{errors.New(wanted + "; the first entry is not of that form, such as orders=postgres://user@host/orders")}
	}
	seen := map[string]bool{}
	for i, at := range begins {
		end := len(list)
		if i+1 < len(begins) {
			end = begins[i+1][0]
		}
		entry := Entry{Name: list[at[2]:at[3]], URL: strings.Trim(list[at[3]+1:end], ",; \t\r\n")}
		switch {
		case strings.ContainsAny(entry.URL, " \t\r\n"):
			faults = append(faults, fmt.Errorf("RELAY_DATABASES: what follows the URL of %s is not name=URL", entry.Name)) // it may hold a password
		case seen[entry.Name]:
			faults = append(faults, fmt.Errorf("RELAY_DATABASES names %s twice", entry.Name))
		}
		seen[entry.Name] = true
		all = append(all, entry)
	}
	return all, faults
}

// Current returns the URL of a database as it is now: RELAY_DATABASES_FILE may be replaced while
// the process runs, for instance with another password. While the file cannot be used, or lacks the
// database, the URL is the one that it had last.
func (c Setting) Current(db Entry) func() string {
	file := config.FileOf("RELAY_DATABASES")
	if file == nil {
		return func() string { return db.URL }
	}
	var mu sync.Mutex
	last := db.URL
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		if url, ok := lookUp(file, db.Name); ok {
			last = url
		}
		return last
	}
}

func lookUp(file *config.File, name string) (url string, ok bool) {
	text, err := file.Text()
	if err != nil {
		return "", false
	}
	now, faults := Setting{config.Secret(text)}.Entries()
	for _, e := range now {
		if e.Name == name && len(faults) == 0 {
			return e.URL, true
		}
	}
	return "", false
}

// Open returns the databases for operators to look at. It connects to none yet.
func (c Setting) Open() ([]*ops.Database, error) {
	pairs, faults := c.Entries()
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	var all []*ops.Database
	for _, db := range pairs {
		d, err := ops.OpenRenewed(db.Name, db.URL, c.Current(db))
		if err != nil {
			Close(all)
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// Close closes what Open returned.
func Close(databases []*ops.Database) {
	for _, d := range databases {
		d.Close()
	}
}
