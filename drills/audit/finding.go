package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill.example/contracts"
)

// Check names one thing that must be so.
type Check string

// The checks, in the order of a report.
const (
	Accepted  Check = "accepted"
	Placed    Check = "placed"
	Announced Check = "announced"
	Terminal  Check = "terminal"
	Reserved  Check = "reserved"
	Agreed    Check = "agreed"
	Stock     Check = "stock"
	Delivered Check = "delivered"
	Handled   Check = "handled"
	Once      Check = "once"
	Ordered   Check = "ordered"
	Origin    Check = "origin"
	Unhealthy Check = "unhealthy"
)

// promises says in a sentence what each check holds the system to.
var promises = []struct {
	check   Check
	promise string
}{
	{Accepted, "every order that a client got a 202 for is there, as it was asked for"},
	{Placed, "every request of a client is one order at most, however often it was sent"},
	{Announced, "every order has one OrderCreated in the outbox, written with it"},
	{Terminal, "every order is CONFIRMED or CANCELLED, or younger than the deadlines"},
	{Reserved, "an order is CONFIRMED exactly when its items are reserved"},
	{Agreed, "every saga has its order, and a finished one says the same"},
	{Stock, "the movements of every sku add up to what is on hand and reserved"},
	{Delivered, "every outbox row is on its topic at least once"},
	{Handled, "every message on a topic was handled by its consumer"},
	{Once, "no message took effect twice"},
	{Ordered, "the messages of a key stand on their topic in the order of their outbox rows"},
	{Origin, "every message on the topics comes from an outbox row"},
	{Unhealthy, "no stuck row, dead letter or stuck saga, but those that are expected"},
}

// Checks returns every check, in the order of a report.
func Checks() []Check {
	all := make([]Check, len(promises))
	for i, p := range promises {
		all[i] = p.check
	}
	return all
}

// Promise says in a sentence what the check holds the system to.
func (c Check) Promise() string {
	for _, p := range promises {
		if p.check == c {
			return p.promise
		}
	}
	return ""
}

// Finding is one thing that is not as promised.
type Finding struct {
	Check   Check  `json:"check"`
	Subject string `json:"subject"` // what it is about: "order 17", "orders outbox row 812"
	Problem string `json:"problem"`
	// Count is how many things it is about: those of one cause are one finding.
	Count int `json:"count"`
	// Repair is a command that repairs it or shows more. It is proposed, never run.
	Repair string `json:"repair"`
	// Looks: the command shows more and changes nothing. What is to be done is for a person to
	// decide.
	Looks bool `json:"looks,omitempty"`

	keys      string // of the messages, or the order, that it is about, sorted and NUL between them: findings are compared
	recovers  bool   // Repair is repairMissing
	ofMessage bool   // Repair is about messages that wait
	sends     bool   // and has them sent, or applied, again
}

// Result is one check of a pass.
type Result struct {
	Check    Check     `json:"check"`
	Promise  string    `json:"promise"`
	Looked   int64     `json:"looked"` // how many things were held against the promise, in all passes
	Findings []Finding `json:"findings"`
}

// Count is how many things are not as promised.
func (r Result) Count() (n int) {
	for _, f := range r.Findings {
		n += f.Count
	}
	return n
}

// Report is what a pass found.
type Report struct {
	At     time.Time     `json:"at"`
	Took   time.Duration `json:"took"`
	Checks []Result      `json:"checks"`
	// Open counts what is too young to be judged.
	Open int `json:"open"`
	// Gone counts the accepted orders of Config.Gone, which are no findings.
	Gone int `json:"gone,omitempty"`
}

// Passed reports whether every promise holds.
func (r Report) Passed() bool { return len(r.Findings()) == 0 }

// And returns a report of both: what other databases were audited for.
func (r Report) And(other Report) Report {
	if len(r.Checks) == 0 {
		return other
	}
	both := Report{At: r.At, Took: r.Took + other.Took, Open: r.Open + other.Open, Gone: r.Gone + other.Gone}
	for i, c := range r.Checks { // both list the same checks
		c.Looked += other.Checks[i].Looked
		c.Findings = slices.Concat(c.Findings, other.Checks[i].Findings)
		both.Checks = append(both.Checks, c)
	}
	return both
}

// Findings returns what every check found.
func (r Report) Findings() []Finding {
	var all []Finding
	for _, c := range r.Checks {
		all = append(all, c.Findings...)
	}
	return all
}

// results collects what the checks look at and find. looked, lasting and gone grow from pass to
// pass.
type results struct {
	looked   map[Check]int64
	findings map[Check][]Finding
	lasting  []Finding
	gone     int
	shard    contracts.Shard // in which commands are to be run
}

func newResults(shard contracts.Shard) *results {
	return &results{looked: map[Check]int64{}, shard: shard}
}

// begin starts a pass.
func (r *results) begin() {
	r.findings = map[Check][]Finding{}
	for _, f := range r.lasting {
		r.findings[f.Check] = append(r.findings[f.Check], f)
	}
}

// find reports what is wrong now: it is looked at again in the next pass, and may have been
// repaired.
func (r *results) find(c Check, subject, repair, problem string, args ...any) {
	r.findMany(c, 1, subject, repair, problem, args...)
}

// findMany is find for several things of one cause.
func (r *results) findMany(c Check, n int, subject, repair, problem string, args ...any) {
	var keys []string
	if order, about := strings.CutPrefix(subject, "order "); about {
		keys = []string{order}
	}
	r.findFor(keys, c, n, subject, repair, problem, args...)
}

// findFor is findMany for a finding about messages of these keys.
func (r *results) findFor(keys []string, c Check, n int, subject, repair, problem string, args ...any) {
	f := Finding{Check: c, Subject: subject, Problem: fmt.Sprintf(problem, args...), Count: n, keys: strings.Join(slices.Sorted(slices.Values(keys)), "\x00")}
	f.propose(repair)
	f.Repair = inShard(r.shard, f.Repair)
	r.findings[c] = append(r.findings[c], f)
}

// propose says what the command does that repairs it.
func (f *Finding) propose(repair string) {
	f.Repair, f.Looks, f.recovers = repair, looks(repair), repair == repairMissing
	f.ofMessage = strings.HasPrefix(repair, "waybill dlq ") || strings.HasPrefix(repair, "outbox-relay ")
	f.sends = f.ofMessage && !f.Looks && !strings.HasPrefix(repair, "waybill dlq discard ")
}

// keep reports what has gone wrong once: no later pass takes it back, or finds it again.
func (r *results) keep(c Check, subject, repair, problem string, args ...any) {
	if slices.ContainsFunc(r.lasting, func(f Finding) bool { return f.Check == c && f.Subject == subject }) {
		return
	}
	r.find(c, subject, repair, problem, args...)
	found := r.findings[c]
	r.lasting = append(r.lasting, found[len(found)-1])
}

func (r *results) count() (n int) {
	for _, found := range r.findings {
		n += len(found)
	}
	return n
}

func (r *results) list() []Result {
	list := make([]Result, 0, len(promises))
	for _, p := range promises {
		found := slices.Clone(r.findings[p.check])
		slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(a.Subject, b.Subject) })
		list = append(list, Result{Check: p.check, Promise: p.promise, Looked: r.looked[p.check], Findings: found})
	}
	return list
}
