package overview

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/orchestrator/console/internal/page"
)

// audited is what the audit beside the system has found in its last pass.
type audited struct {
	// Problem is why that is not known: nobody watches, or no longer. Empty: it is.
	Problem  string     `json:"problem,omitempty"`
	At       *time.Time `json:"at,omitempty"` // of the last complete pass
	Promises int        `json:"promises"`
	Looked   int64      `json:"looked"` // what was held against them
	Open     int        `json:"open"`   // what is too young to be judged
	Found    int        `json:"found"`
	Findings []finding  `json:"findings"` // the first of them
}

// finding is something that is not as promised.
type finding struct {
	Check   string `json:"check"`
	Promise string `json:"promise"`
	Subject string `json:"subject"`
	Problem string `json:"problem"`
	Count   int    `json:"count"`
	Repair  string `json:"repair"`
}

const (
	// auditAge is how old the report of a pass may be: one takes seconds.
	auditAge = 5 * time.Second
	// auditLate is how long ago the last pass may have been before the watch is considered broken.
	auditLate = time.Minute
	// shownFindings is how many findings there is room for.
	shownFindings = 20
)

// audited asks the watch. That there is none is part of the answer.
func (o *overview) audited(ctx context.Context, r *page.Request) audited {
	if o.sources.Audit == nil {
		return audited{Problem: "Not watched: AUDIT_URL does not say where drills audit --watch answers.", Findings: []finding{}}
	}
	answer, err := o.sources.Audit.Aside(ctx, "/report", auditAge)
	var report struct {
		At     time.Time
		Open   int
		Checks []struct {
			Check, Promise string
			Looked         int64
			Findings       []finding
		}
	}
	if err == nil {
		err = json.Unmarshal(answer.Body, &report)
	}
	if err != nil {
		return audited{Problem: "Not watched: " + err.Error(), Findings: []finding{}}
	}
	a := audited{At: &report.At, Promises: len(report.Checks), Open: report.Open, Findings: []finding{}}
	for _, c := range report.Checks {
		a.Looked += c.Looked
		for _, f := range c.Findings {
			a.Found += f.Count
			if len(a.Findings) < shownFindings {
				f.Promise, f.Problem = c.Promise, r.Text(f.Problem)
				if !r.Can(admin.Reader) {
					f.Repair = ""
				}
				a.Findings = append(a.Findings, f)
			}
		}
	}
	if time.Since(report.At) > auditLate {
		a.Problem = "No longer watched: this is what the last pass found."
	}
	return a
}

var order = regexp.MustCompile(`^order (\d+)$`)

// Path is where in the console the subject is to be seen; empty: nowhere.
func (f finding) Path() string {
	if of := order.FindStringSubmatch(f.Subject); of != nil {
		return "/find?q=" + url.QueryEscape(of[1])
	}
	return ""
}
