package source

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Selection says which published rows to send again. Fields that are nil do not restrict it; one at
// least must.
type Selection struct {
	FromID *int64     `json:"fromId,omitzero" minimum:"1" doc:"The first id."`
	ToID   *int64     `json:"toId,omitzero" minimum:"1" doc:"The last id."`
	Key    *string    `json:"key,omitzero" doc:"Rows of one key."`
	Since  *time.Time `json:"since,omitzero" doc:"Rows inserted at this time or later."`
	Until  *time.Time `json:"until,omitzero" doc:"Rows inserted before this time."`
}

// Validate returns an error if the selection is of everything or nothing.
func (s Selection) Validate() error {
	switch {
	case s == Selection{}:
		return errors.New("say which rows: by id, key or time")
	case s.FromID != nil && s.ToID != nil && *s.FromID > *s.ToID:
		return errors.New("the first id is above the last")
	case s.Since != nil && s.Until != nil && !s.Since.Before(*s.Until):
		return errors.New("the time range is empty")
	}
	return nil
}

// By time a selection is found by the ids that were handed out then, not by reading all rows.
// Transactions that insert at once may be this far from the order of their ids.
const clockSlack = "interval '1 minute'"

// Where returns the condition for rows o of the outbox that are published and selected, as SQL
// whose arguments begin with args. Only what is set is in it, so that the planner can choose the
// index.
func (s Selection) Where(args []any) (string, []any) {
	var conditions []string
	add := func(condition string, value any) {
		args = append(args, value)
		conditions = append(conditions, fmt.Sprintf(condition, len(args)))
	}
	if s.FromID != nil {
		add("o.id >= $%d", *s.FromID)
	}
	if s.ToID != nil {
		add("o.id <= $%d", *s.ToID)
	}
	if s.Key != nil {
		add("o.key = $%d", *s.Key)
	}
	if s.Since != nil {
		add("o.id >= public.outbox_id_at($%d::timestamptz - "+clockSlack+")", *s.Since)
		add("o.created_at >= $%d", *s.Since)
	}
	if s.Until != nil {
		add("o.id < public.outbox_id_at($%d::timestamptz + "+clockSlack+")", *s.Until)
		add("o.created_at < $%d", *s.Until)
	}
	conditions = append(conditions,
		"(select published + '{}'::int8multirange from public.outbox_cursor) @> o.id",
		"not exists (select from public.outbox_closed z where z.ids @> o.id)",
		"not exists (select from public.outbox_stuck s where s.outbox_id = o.id)")
	return strings.Join(conditions, "\n   and "), args
}
