package source

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"waybill.example/chassis/apiclient"
)

// Note is how a source answered a page.
type Note struct {
	Source string    `json:"source"`
	At     time.Time `json:"at"` // when what it answered was current
	// Problem is why it could not be asked, or what it refused; empty: it was.
	Problem string `json:"problem,omitempty"`
	// Stale: the page shows what was known At.
	Stale bool `json:"stale,omitzero"`
}

// Notes are how the sources answered one page. It is safe for concurrent use.
type Notes struct {
	mu  sync.Mutex
	all map[string]Note
}

type notesKey struct{}

// Collect returns a context whose reads are noted.
func Collect(ctx context.Context) (context.Context, *Notes) {
	n := &Notes{all: map[string]Note{}}
	return context.WithValue(ctx, notesKey{}, n), n
}

// All returns what was noted of each source, by its name.
func (n *Notes) All() []Note {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]Note, 0, len(n.all))
	for _, note := range n.all {
		all = append(all, note)
	}
	slices.SortFunc(all, func(a, b Note) int { return cmp.Compare(a.Source, b.Source) })
	return all
}

// note keeps the worst of what a source answered: a problem before none, the older before the
// newer.
func note(ctx context.Context, source string, a answer) {
	n, ok := ctx.Value(notesKey{}).(*Notes)
	if !ok || ctx.Err() != nil {
		return
	}
	next := Note{Source: source, At: a.at, Stale: a.stale != nil}
	if err := cmp.Or(a.stale, a.err); err != nil && !apiclient.NotFound(err) {
		next.Problem = err.Error()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	last, there := n.all[source]
	if there && (last.Problem != "" && next.Problem == "" || next.Problem == "" && last.At.Before(next.At)) {
		return
	}
	n.all[source] = next
}
