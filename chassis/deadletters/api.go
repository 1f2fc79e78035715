package deadletters

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/sdk/deadletter"
)

const (
	maxWaiting = 100
	jsonLines  = "application/jsonl"
)

var answers = []httpserver.Answer{
	{Err: deadletter.ErrNotFound, Status: http.StatusNotFound, Detail: "there is no such dead letter"},
	{Err: deadletter.ErrRevision, Status: http.StatusPreconditionFailed},
	{Err: deadletter.ErrNoCause, Status: http.StatusConflict, Detail: deadletter.ErrNoCause.Error()},
	{Err: deadletter.ErrNotWhole, Status: http.StatusConflict, Detail: "the message was cut when it was set aside: edit it, or discard it"},
}

// Register adds the operations under /v1/dead-letters to a service's API.
func (s *Service) Register(ops httpserver.Operations) {
	ops.Answers = slices.Concat(ops.Answers, answers)
	read := func(id, path, summary string) huma.Operation {
		op := huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{"Dead letters"}}
		return admin.Reading(ops.API, s.Readers, s.known, s.Masks != nil, op)
	}
	httpserver.Handle(ops, read("list-dead-letters", "/v1/dead-letters", "List dead letters and what waits behind them, newest first"), s.list)
	httpserver.Handle(ops, read("group-dead-letters", "/v1/dead-letters/groups", "Dead letters by cause, the largest group first"), s.groups)
	export := read("export-dead-letters", "/v1/dead-letters/export", "Dead letters with what they hold, one JSON object per line, newest first")
	export.Responses = map[string]*huma.Response{"200": {Description: "JSON lines", Content: map[string]*huma.MediaType{jsonLines: {}}}}
	httpserver.Handle(ops, export, s.export)
	show := read("get-dead-letter", "/v1/dead-letters/{id}", "One dead letter: what it holds, and what waits behind it")
	show.Errors = append(show.Errors, http.StatusNotFound)
	httpserver.Handle(ops, show, s.get)
	s.registerChanges(ops)
}

// Filter chooses dead letters.
type Filter struct {
	State   string          `query:"state" enum:"open,dead,parked,redriven,discarded,superseded,any" default:"open" doc:"open is dead or parked"`
	Topic   httpserver.Text `query:"topic" maxLength:"249"`
	Type    httpserver.Text `query:"type" maxLength:"255"`
	Key     httpserver.Text `query:"key" maxLength:"2048" doc:"All of it"`
	Cause   httpserver.Text `query:"cause" maxLength:"200" doc:"All of it, as the groups have it"`
	Reason  httpserver.Text `query:"reason" maxLength:"200" doc:"A part of it"`
	EventID string          `query:"eventId" maxLength:"36"`
	Older   string          `query:"olderThan" maxLength:"20" doc:"Set aside longer ago than this, such as 10m"`
	Newer   string          `query:"newerThan" maxLength:"20" doc:"Set aside no longer ago than this"`
}

func (f Filter) filter() (deadletter.Filter, error) {
	out := deadletter.Filter{
		Any: f.State == "any", Topic: string(f.Topic), Type: string(f.Type), Key: string(f.Key), Cause: string(f.Cause), Reason: string(f.Reason),
	}
	if f.State != "any" && f.State != "open" {
		out.State = deadletter.State(f.State)
	}
	if f.EventID != "" {
		id, err := uuid.Parse(f.EventID)
		if err != nil {
			return out, httpserver.Invalid("query.eventId", "is not a UUID")
		}
		out.EventID = &id
	}
	for _, age := range []struct {
		name, text string
		into       **time.Time
	}{{"olderThan", f.Older, &out.Before}, {"newerThan", f.Newer, &out.Since}} {
		if age.text == "" {
			continue
		}
		d, err := time.ParseDuration(age.text)
		if err != nil || d < 0 {
			return out, httpserver.Invalid("query."+age.name, "is not a duration such as 10m or 24h")
		}
		at := time.Now().Add(-d)
		*age.into = &at
	}
	return out, nil
}

// filter is f for who asks: a reason may quote what is hidden from them, and is not searched.
func (s *Service) filter(ctx context.Context, f Filter) (deadletter.Filter, error) {
	if f.Reason != "" && s.Masks.Hides(admin.RoleOf(ctx)) {
		return deadletter.Filter{}, httpserver.Invalid("query.reason", "a reason may quote what PAYLOAD_MASKS hides from you; filter by cause")
	}
	return f.filter()
}

type listInput struct {
	Filter
	httpserver.Page
}

type deadLettersOutput struct {
	httpserver.Paged
	Body struct {
		DeadLetters []DeadLetter `json:"deadLetters" nullable:"false" doc:"Newest first"`
		Next        string       `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
	}
}

// find returns a page, and the cursor of the next.
func (s *Service) find(ctx context.Context, in *listInput) (page []deadletter.Letter, next string, link httpserver.Paged, err error) {
	filter, err := s.filter(ctx, in.Filter)
	if err != nil {
		return nil, "", link, err
	}
	below, err := in.After()
	if err != nil {
		return nil, "", link, err
	}
	found, err := s.store.List(ctx, filter, deadletter.Page{BeforeID: below, Limit: in.Fetch()})
	if err != nil {
		return nil, "", link, err
	}
	page, next, link = httpserver.Cut(ctx, in.Page, found, func(last deadletter.Letter) string { return httpserver.CursorOf(last.ID) })
	return page, next, link, nil
}

func (s *Service) list(ctx context.Context, in *listInput) (*deadLettersOutput, error) {
	found, next, link, err := s.find(ctx, in)
	if err != nil {
		return nil, err
	}
	out := &deadLettersOutput{Paged: link}
	out.Body.DeadLetters, out.Body.Next = make([]DeadLetter, len(found)), next
	for i, l := range found {
		out.Body.DeadLetters[i] = s.letter(ctx, l)
	}
	return out, nil
}

type exportOutput struct {
	httpserver.Paged
	ContentType string `header:"Content-Type"`
	Next        string `header:"Waybill-Next" doc:"The cursor of the next page; absent on the last"`
	Body        []byte
}

func (s *Service) export(ctx context.Context, in *listInput) (*exportOutput, error) {
	found, next, link, err := s.find(ctx, in)
	if err != nil {
		return nil, err
	}
	out := &exportOutput{Paged: link, ContentType: jsonLines, Next: next}
	for _, l := range found {
		line, err := json.Marshal(s.toDetail(ctx, l, nil, nil, deadletter.GroupNote{}))
		if err != nil {
			return nil, err
		}
		out.Body = append(append(out.Body, line...), '\n')
	}
	return out, nil
}

type deadLetterGroupsOutput struct {
	Body struct {
		Groups []DeadLetterGroup `json:"groups" nullable:"false"`
	}
}

func (s *Service) groups(ctx context.Context, in *struct{ Filter }) (*deadLetterGroupsOutput, error) {
	filter, err := s.filter(ctx, in.Filter)
	if err != nil {
		return nil, err
	}
	found, err := s.store.Groups(ctx, filter, maxWaiting)
	if err != nil {
		return nil, err
	}
	out := &deadLetterGroupsOutput{}
	out.Body.Groups = make([]DeadLetterGroup, len(found))
	for i, g := range found {
		out.Body.Groups[i] = toGroup(g)
	}
	return out, nil
}

// Target names a dead letter.
type Target struct {
	ID int64 `path:"id" minimum:"1"`
}

type detailOutput struct {
	ETag string `header:"ETag" doc:"Its revision"`
	Body DeadLetterDetail
}

func (s *Service) get(ctx context.Context, in *Target) (*detailOutput, error) {
	l, err := s.store.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.detail(ctx, l)
}

func (s *Service) detail(ctx context.Context, l deadletter.Letter) (*detailOutput, error) {
	waiting, err := s.store.Waiting(ctx, l, maxWaiting)
	if err != nil {
		return nil, err
	}
	handled, err := s.store.HandledBy(ctx, l)
	if err != nil {
		return nil, err
	}
	note, err := s.store.Note(ctx, l)
	if err != nil {
		return nil, err
	}
	return &detailOutput{etag(l), s.toDetail(ctx, l, waiting, handled, note)}, nil
}
