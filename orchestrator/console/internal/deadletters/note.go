package deadletters

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/console/internal/page"
)

// Seen is the version of the note that a page shows: what a change of it names in If-Match.
func (g group) Seen() string {
	if g.Note == nil {
		return ""
	}
	return strconv.Quote(strconv.Itoa(g.Note.Revision))
}

// note says who looks at a group, and what is known of it. With neither, it is removed.
func (s screen) note(ctx context.Context, r *page.Request) (any, error) {
	owner, text := strings.TrimSpace(r.PostFormValue("owner")), strings.TrimSpace(r.PostFormValue("note"))
	_, err := s.service(r.PathValue("service")).Do(ctx, apiclient.Request{
		Method: http.MethodPut, Path: letterPath(r, "/group-note"), IfMatch: r.PostFormValue("seen"),
		Body: map[string]string{"owner": owner, "note": text},
	})
	switch {
	case err != nil:
		return nil, err
	case owner == "" && text == "":
		return page.Result{Text: "The note is removed"}, nil
	case owner == "":
		return page.Result{Text: "Noted"}, nil
	}
	return page.Result{Text: fmt.Sprintf("Noted: %s looks at them", owner)}, nil
}
