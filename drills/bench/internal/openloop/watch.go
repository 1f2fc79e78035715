package openloop

import (
	"bytes"
	"net/http"
	"strconv"
	"time"
)

const (
	// followers bounds the orders that are watched at once.
	followers = 64
	// A watched order is looked at every other millisecond at first; one that takes longer is looked at
	// less often, a tenth of its age apart, so that looking does not become the load. That is how exact
	// its time is.
	glance = 2 * time.Millisecond
	seldom = 10
	// patience is when a watcher gives an order up; its time is recorded as if it had come then.
	patience = 60 * time.Second
)

type followed struct {
	id  int64
	due time.Time
}

var confirmed = []byte(`"status":"CONFIRMED"`)

// watch looks at orders as a client does that waits for them.
func (l *Load) watch(conn *Conn) {
	defer conn.Close()
	for order := range l.follow {
		path := l.cfg.Path + "/" + strconv.FormatInt(order.id, 10)
		for {
			status, body, err := conn.Get(path)
			took := time.Since(order.due)
			if err == nil && status == http.StatusOK && bytes.Contains(body, confirmed) || took > patience {
				l.confirm.Record(took)
				break
			}
			sleepUntil(time.Now().Add(max(glance, took/seldom)))
		}
	}
}
