package httpapi

import (
	"context"
	"encoding/json"
	"errors"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/masking"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
)

// hidden is what of one saga is hidden from who asks. The zero value hides nothing.
type hidden struct {
	hides    bool // there are rules for its definition
	data     masking.View
	revision int // of the data
}

// hidden reads the saga, where there is something to hide.
func (a *API) hidden(ctx context.Context, ref saga.Ref) (hidden, error) {
	if !a.Masks.Hides(admin.RoleOf(ctx)) {
		return hidden{}, nil
	}
	s, _, err := a.look(ctx, ref)
	if err != nil {
		return hidden{}, err
	}
	return a.hiddenOf(admin.RoleOf(ctx), s), nil
}

func (a *API) hiddenOf(role admin.Role, s saga.State) hidden {
	return hidden{a.Masks.HidesSaga(role, s.Definition), a.Masks.Saga(role, s.Definition, s.Data), s.Revision}
}

// text is a text about the saga without the values that it quotes.
func (h hidden) text(text string) string { return h.data.Scrub(text) }

// note is what a line of the timeline says. That of an edit has every value that was changed, as it
// was and as it is.
func (h hidden) note(causeType, note string) string {
	if h.hides && note != "" && causeType == string(saga.ActEditData) {
		return masking.Placeholder
	}
	return h.text(note)
}

func (h hidden) lines(lines []inspect.Line) []inspect.Line {
	if !h.hides {
		return lines
	}
	shown := make([]inspect.Line, len(lines))
	for i, l := range lines {
		l.Note = h.note(l.CauseType, l.Note)
		shown[i] = l
	}
	return shown
}

// restored is a request with what was hidden from who makes it put back where they left it, and the
// revision that has to be the saga's still if something was: 0 if nothing was. in is where the
// request is in the HTTP request.
func (a *API) restored(h hidden, request saga.Request, in string) (saga.Request, int, error) {
	if a.Masks == nil {
		return request, 0, nil
	}
	if err := masking.Refuse(request.Data); err != nil {
		return request, 0, misplaced(in+".data", err)
	}
	if !masking.Contains(request.Patch) {
		return request, 0, nil
	}
	patch, err := h.data.Restore(request.Patch)
	if err != nil {
		return request, 0, misplaced(in+".patch", err)
	}
	request.Patch = json.RawMessage(patch)
	return request, h.revision, nil
}

// misplaced answers a placeholder that stands for nothing.
func misplaced(location string, err error) error {
	if place, ok := errors.AsType[*masking.PlaceError](err); ok {
		return invalid(location, place.Error(), nil)
	}
	return err
}
