// Package locks is the console's screen of what the services wait for in their databases: which
// session holds it, since when and on what, and the end of that session.
package locks

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
)

//go:embed *.html
var templates embed.FS

type screen struct{ sources *source.Sources }

// New returns the screen.
func New(sources *source.Sources) page.Screen {
	s := screen{sources}
	return page.Screen{
		Title: "Locks", Path: "/locks", Key: "l", Templates: templates,
		Pages:   []page.Page{{Path: "/locks", Template: "locks.html", Title: "Locks", Load: s.load}},
		Actions: []page.Action{{Path: "/locks/{service}/{pid}/end", Do: s.end}},
	}
}

// holder is a session that holds what a service waits for.
type holder struct {
	Service     string   `json:"service"`
	PID         int32    `json:"pid"`
	Transaction string   `json:"transaction"`
	Login       string   `json:"login"`
	Application string   `json:"application"`
	State       string   `json:"state"`
	Seconds     float64  `json:"seconds"`
	Statement   string   `json:"statement"`
	Tables      []string `json:"tables"`
}

// For is how long its transaction has been open.
func (h holder) For() time.Duration { return time.Duration(h.Seconds * float64(time.Second)) }

// Known reports whether that is known.
func (h holder) Known() bool { return h.Seconds >= 0 }

// Prepared reports whether it is a prepared transaction, which has no session.
func (h holder) Prepared() bool { return h.PID == 0 }

type data struct {
	Holders []holder `json:"holders"`
}

func (s screen) load(ctx context.Context, r *page.Request) (any, error) {
	d := data{Holders: []holder{}}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, c := range s.services() {
		asking.Go(func() {
			found, err := source.Get[struct{ Holders []holder }](ctx, c, "/v1/locks")
			if err != nil {
				return // the page says so
			}
			mu.Lock()
			defer mu.Unlock()
			for _, h := range found.Holders {
				h.Service, h.Statement = c.Name(), r.Text(h.Statement)
				d.Holders = append(d.Holders, h)
			}
		})
	}
	asking.Wait()
	slices.SortFunc(d.Holders, func(a, b holder) int {
		return cmp.Or(-cmp.Compare(a.Seconds, b.Seconds), cmp.Compare(a.Service, b.Service), cmp.Compare(a.PID, b.PID))
	})
	return d, nil
}

// services are those that have a database of their own, as far as they are configured.
func (s screen) services() []*source.Client {
	all := []*source.Client{s.sources.Orders, s.sources.Inventory, s.sources.Orchestrator}
	return slices.DeleteFunc(all, func(c *source.Client) bool { return c == nil })
}

func (s screen) end(ctx context.Context, r *page.Request) (any, error) {
	services := s.services()
	i := slices.IndexFunc(services, func(c *source.Client) bool { return c.Name() == r.PathValue("service") })
	pid, err := strconv.ParseInt(r.PathValue("pid"), 10, 32)
	if i < 0 || err != nil {
		return nil, page.Invalid("there is no such session")
	}
	_, err = services[i].Do(ctx, apiclient.Request{
		Method: http.MethodPost, Path: page.Path("/v1/locks/%d/end", pid),
		Body: map[string]string{"transaction": r.PostFormValue("transaction"), "reason": r.PostFormValue("reason")},
	})
	return page.Result{Text: fmt.Sprintf("Session %d was ended: its transaction is rolled back, and what waited goes on", pid)}, err
}
