// Package breakit is the console's screen to break a development stack: to kill, freeze, thaw, stop
// and start each of its processes, and to watch how everything recovers. It exists where the
// orchestrator is passed the path of a stack's stack.json, which `make up` does, and nowhere else.
//
//	screen.go  the page and its changes
//	stack.go   the stack: its processes, and what can be done to them
//	watch.go   what happens after something was broken
//	report.go  the report of the latest drills
package breakit

import (
	"context"
	"embed"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
)

//go:embed *.html
var templates embed.FS

type screen struct {
	sources *source.Sources
	stack   *stack
	dir     string
	log     *watches
}

// New returns the screen for the stack whose state file is stackJSON.
func New(sources *source.Sources, stackJSON string) page.Screen {
	dir := filepath.Dir(stackJSON)
	s := screen{sources, newStack(dir), dir, &watches{}}
	return page.Screen{
		Title: "Break it", Path: "/break-it", Key: "k", Templates: templates,
		Pages:   []page.Page{{Path: "/break-it", Template: "breakit.html", Title: "Break it", Every: time.Second, Load: s.load}},
		Actions: []page.Action{{Path: "/break-it/{process}/{action}", Role: admin.Admin, Do: s.do}},
		Raw:     map[string]func(http.ResponseWriter, *page.Request) error{"/break-it/report": s.report},
	}
}

// shownProcess is a process with how it is, and what can be done to it.
type shownProcess struct {
	process
	// Says is what its readiness says; empty: it is ready, or has none.
	Says    string   `json:"says,omitempty"`
	Actions []button `json:"actions,omitempty"`
}

// button is an action, and why it cannot be had.
type button struct {
	Action string `json:"action"`
	Why    string `json:"why,omitempty"`
}

type data struct {
	Processes []shownProcess `json:"processes"`
	Broken    []string       `json:"broken"` // the names of those that do not run as they should
	Watches   []watchView    `json:"watches"`
	Report    *reportInfo    `json:"report,omitempty"`
}

func (s screen) load(ctx context.Context, _ *page.Request) (any, error) {
	processes, err := s.stack.processes(ctx)
	if err != nil {
		return nil, page.Invalid("the development stack does not answer: " + err.Error())
	}
	d := data{Processes: make([]shownProcess, len(processes)), Broken: []string{}, Watches: s.log.all(), Report: findReport(s.dir)}
	var asking sync.WaitGroup
	for i, p := range processes {
		d.Processes[i] = shownProcess{process: p, Actions: buttons(p)}
		asking.Go(func() { d.Processes[i].Says = s.stack.readiness(ctx, p) })
	}
	asking.Wait()
	for _, p := range d.Processes {
		if p.State == "frozen" || p.State == "stopped" || p.Says != "" {
			d.Broken = append(d.Broken, p.Name)
		}
	}
	return d, nil
}

// here is the process that the console is a part of.
const here = "orchestrator"

// buttons are what can be done to a process as it is.
func buttons(p process) []button {
	why := map[string]string{}
	for _, action := range actions {
		switch {
		case p.State == "not ours":
			why[action] = "The environment names this server: it is not run by the stack"
		case p.Name == here && action != "start":
			why[action] = "This console runs in it: use devstack " + action + " " + here
		case action == "start" && p.State != "stopped":
			why[action] = "It runs"
		case action != "start" && p.State == "stopped":
			why[action] = "It does not run"
		case action == "freeze" && p.State == "frozen":
			why[action] = "It is frozen"
		case action == "thaw" && p.State != "frozen":
			why[action] = "It is not frozen"
		}
	}
	all := make([]button, len(actions))
	for i, action := range actions {
		all[i] = button{action, why[action]}
	}
	return all
}

// done says what an action did.
var done = map[string]string{
	"kill": "killed (SIGKILL)", "freeze": "frozen (SIGSTOP)", "thaw": "thawed (SIGCONT)", "stop": "stopped in order", "start": "started",
}

func (s screen) do(ctx context.Context, r *page.Request) (any, error) {
	name, action := r.PathValue("process"), r.PathValue("action")
	if !slices.Contains(actions, action) || name == here && action != "start" {
		return nil, page.Invalid("a console cannot " + action + " " + name)
	}
	began := time.Now()
	w := s.log.begin(r.Session.Name, action, name, began)
	if err := s.stack.act(ctx, action, name); err != nil {
		w.note(time.Since(began), "it could not be done: "+err.Error())
		w.end()
		return nil, page.Invalid(err.Error())
	}
	// Who broke it need not stay to see it recover.
	go w.follow(context.WithoutCancel(ctx), s)
	return page.Result{Text: fmt.Sprintf("%s was %s; what happens is shown below", name, done[action])}, nil
}
