package find

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/deadletter"
)

// letter is as much of a dead letter as is used here.
type letter struct {
	ID                         int64
	Topic, Type, State, Reason string
}

func (l letter) meaning(service string) Meaning {
	what := fmt.Sprintf("%s from %s, %s", known(l.Type, "a message"), l.Topic, l.State)
	if l.Reason != "" {
		what += ": " + l.Reason
	}
	id := strconv.FormatInt(l.ID, 10)
	return Meaning{"dead letter", service + "/" + id, what, command("waybill", "dlq", "show", "--service="+service, id)}
}

// maxLetters is how many dead letters of one service are shown.
const maxLetters = 20

// deadLetters asks every service whether it has set messages of a key or an event aside.
func (f *Finder) deadLetters(key string, event *uuid.UUID) []look {
	looks := []look{{"dead letter of " + explain.OwnDatabase, func(ctx context.Context) ([]Meaning, error) {
		found, err := f.Letters.List(ctx, deadletter.Filter{Any: true, Key: key, EventID: event}, deadletter.Page{Limit: maxLetters})
		return meanings(explain.OwnDatabase, own(found...)), err
	}}}
	query := url.Values{"state": {"any"}, "limit": {strconv.Itoa(maxLetters)}}
	if event != nil {
		query.Set("eventId", event.String())
	} else {
		query.Set("key", key)
	}
	others := f.others()
	for _, service := range slices.Sorted(maps.Keys(others)) {
		client := others[service]
		looks = append(looks, look{"dead letter of " + service, func(ctx context.Context) ([]Meaning, error) {
			var page struct{ DeadLetters []letter }
			_, err := get(ctx, client, "/v1/dead-letters?"+query.Encode(), &page)
			return meanings(service, page.DeadLetters), err
		}})
	}
	return looks
}

// others are the services that have dead letters and are not this one.
func (f *Finder) others() map[string]*apiclient.Client {
	others := map[string]*apiclient.Client{}
	for name, c := range map[string]*apiclient.Client{"orders": f.Orders, "inventory": f.Inventory} {
		if c != nil {
			others[name] = c
		}
	}
	return others
}

// deadLetter is the lookup of one dead letter of a service, if it is one that has some.
func (f *Finder) deadLetter(service string, id int64) []look {
	name := "dead letter of " + service
	if service == explain.OwnDatabase {
		return []look{{name, func(ctx context.Context) ([]Meaning, error) {
			l, err := f.Letters.Get(ctx, id)
			if errors.Is(err, deadletter.ErrNotFound) {
				return nil, nil
			}
			return meanings(service, own(l)), err
		}}}
	}
	client, ok := f.others()[service]
	if !ok {
		return nil
	}
	return []look{{name, func(ctx context.Context) ([]Meaning, error) {
		var l letter
		found, err := get(ctx, client, fmt.Sprintf("/v1/dead-letters/%d", id), &l)
		if !found {
			return nil, err
		}
		return meanings(service, []letter{l}), nil
	}}}
}

func own(found ...deadletter.Letter) (all []letter) {
	for _, l := range found {
		all = append(all, letter{l.ID, l.Topic, l.Type, string(l.State), l.Reason})
	}
	return all
}

func meanings(service string, found []letter) (all []Meaning) {
	for _, l := range found {
		all = append(all, l.meaning(service))
	}
	return all
}
