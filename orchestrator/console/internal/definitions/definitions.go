// Package definitions is the screen of definitions: their versions with the sagas that are left of
// each, and each as a diagram with how often its ways were really gone.
package definitions

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/console/internal/diagram"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
	"waybill.example/orchestrator/httpapi"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
)

//go:embed *.html
var templates embed.FS

type screen struct{ sources *source.Sources }

// New returns the screen. Its pages do not look again by themselves: what is left of the versions
// is counted in the whole table.
func New(s *source.Sources) page.Screen {
	x := &screen{s}
	return page.Screen{
		Title: "Definitions", Path: "/definitions", Key: "f", Templates: templates,
		Pages: []page.Page{
			{Path: "/definitions", Template: "definitions.html", Title: "Definitions", Every: page.Never, Load: x.list},
			{Path: "/definitions/{name}/{version}", Template: "definition.html", Title: "Definition", Every: page.Never, Load: x.one},
		},
		Actions: []page.Action{
			{Path: "/definitions/{name}/{version}/suspend", Role: admin.Admin, Do: x.change("suspend", "Suspended: its sagas do nothing within two seconds.")},
			{Path: "/definitions/{name}/{version}/resume", Role: admin.Admin, Do: x.change("resume", "Resumed: its sagas go on, first with what was held.")},
		},
	}
}

// version is one version of a definition.
type version struct {
	inspect.VersionUse

	Newest bool `json:"newest"`
}

// Verdict says whether the version can be taken out of the program.
func (v version) Verdict() string {
	switch {
	case v.Removable && !v.Newest:
		return "safe to remove"
	case v.Removable:
		return "no sagas yet"
	case v.Open == 0 && !v.Newest:
		return "in use: ended sagas are kept"
	case !v.Registered:
		return "needed, and not registered here"
	}
	return "in use"
}

// list is the page of all versions.
type list struct {
	Versions []version `json:"versions"`
	// Uncounted is why it is not known what is left of each.
	Uncounted string `json:"uncounted,omitempty"`
}

func (x *screen) list(ctx context.Context, _ *page.Request) (any, error) { return x.versions(ctx) }

func (x *screen) versions(ctx context.Context) (list, error) {
	known, err := source.Get[struct{ Definitions []saga.Description }](ctx, x.sources.Orchestrator, "/v1/definitions")
	if err != nil {
		return list{}, err
	}
	used, err := source.Now[struct{ Versions []inspect.VersionUse }](ctx, x.sources.Orchestrator, "/v1/versions")
	l := list{}
	if err != nil {
		l.Uncounted = err.Error()
		for _, d := range known.Definitions {
			used.Versions = append(used.Versions, inspect.VersionUse{Definition: d.Name, Version: d.Version, Registered: true})
		}
	}
	newest := map[string]int{}
	for _, v := range used.Versions {
		newest[v.Definition] = max(newest[v.Definition], v.Version)
	}
	for _, v := range used.Versions {
		l.Versions = append(l.Versions, version{v, v.Version == newest[v.Definition]})
	}
	return l, nil
}

// sample is how many of the newest sagas are looked at for what really happened.
const sample = 1000

// one is the page of one version.
type one struct {
	Description saga.Description `json:"description"`
	Coverage    inspect.Coverage `json:"coverage"`
	Uncovered   []string         `json:"uncovered"`
	Use         *version         `json:"use,omitempty"`
	Diagram     template.HTML    `json:"-"`
	// Counted reports that it is known what happened.
	Counted bool `json:"-"`
}

// Title implements the title of a page.
func (o one) Title() string {
	return o.Description.Name + ", version " + strconv.Itoa(o.Description.Version)
}

// Covered is how many of its ways were gone, of how many.
func (o one) Covered() (n int) {
	return o.Ways() - len(o.Uncovered)
}

// Ways is how many ways there are.
func (o one) Ways() int {
	return len(diagram.Uncovered(o.Description, diagram.Overlay{}))
}

func (x *screen) one(ctx context.Context, r *page.Request) (any, error) {
	path, v := page.Path("/v1/definitions/%s", r.PathValue("name")), "?version="+r.PathValue("version")
	if n, err := strconv.Atoi(r.PathValue("version")); err != nil || n < 1 {
		return nil, page.Invalid("A version is a number from 1.")
	}
	var o one
	var descriptionErr, coverageErr error
	var asking sync.WaitGroup
	asking.Go(func() {
		o.Description, descriptionErr = source.Get[saga.Description](ctx, x.sources.Orchestrator, path+v)
	})
	asking.Go(func() {
		o.Coverage, coverageErr = source.Now[inspect.Coverage](ctx, x.sources.Orchestrator, path+"/coverage"+v+"&sample="+strconv.Itoa(sample))
	})
	asking.Go(func() { o.Use = x.use(ctx, r) })
	asking.Wait()
	if descriptionErr != nil {
		return nil, descriptionErr
	}
	o.Counted = coverageErr == nil
	overlay := diagram.Counted(o.Description, o.Coverage, func(n int64) string { return strconv.FormatInt(n, 10) })
	o.Diagram, o.Uncovered = diagram.Draw(o.Description, overlay), diagram.Uncovered(o.Description, overlay)
	return o, nil
}

// use is what is left of the version; nil where that is not known.
func (x *screen) use(ctx context.Context, r *page.Request) *version {
	all, err := x.versions(ctx)
	if err != nil {
		return nil
	}
	at := slices.IndexFunc(all.Versions, func(v version) bool {
		return v.Definition == r.PathValue("name") && strconv.Itoa(v.Version) == r.PathValue("version")
	})
	if at < 0 {
		return nil
	}
	return &all.Versions[at]
}

// change suspends or resumes all sagas of a version.
func (x *screen) change(verb, done string) func(context.Context, *page.Request) (any, error) {
	return func(ctx context.Context, r *page.Request) (any, error) {
		answer, err := x.sources.Orchestrator.Do(ctx, apiclient.Request{
			Method: http.MethodPost, Path: page.Path("/v1/definitions/%s/versions/%s/"+verb, r.PathValue("name"), r.PathValue("version")),
			Body: map[string]string{"reason": r.PostForm.Get("reason")},
		})
		if err != nil {
			return nil, err
		}
		var o httpapi.SuspensionOutcome
		if err := json.Unmarshal(answer, &o); err != nil {
			return nil, fmt.Errorf("read what came of it: %w", err)
		}
		if o.Because != "" {
			return page.Result{Text: "Nothing was done: " + o.Because, Problem: true}, nil
		}
		return page.Result{Text: done}, nil
	}
}
