package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Limits of streams. A browser that is cut off by one of them connects again.
const (
	streamFor  = time.Hour
	sendWithin = 5 * time.Second
)

// feeds are the pages that are open. All who have the same one open, and may see the same,
// share a feed: it loads and renders once for them all. Nobody there, nothing is loaded.
type feeds struct {
	frame *Frame
	mu    sync.Mutex
	open  map[string]*feed
}

// feed keeps one page up to date.
type feed struct {
	page    *servedPage
	request *Request // of the first reader
	poke    chan struct{}
	stop    context.CancelFunc

	mu        sync.Mutex
	readers   map[chan event]bool
	shown     [sha256.Size]byte // what was last sent
	lastEvent event
}

// event is one of server-sent events.
type event struct{ name, data string }

func newFeeds(f *Frame) *feeds { return &feeds{frame: f, open: map[string]*feed{}} }

// join returns what a reader of a page is sent. leave must be called.
func (fs *feeds) join(p *servedPage, r *Request) (events chan event, leave func()) {
	key := r.URL.String() + "\x00" + r.Session.Name + "\x00" + r.Session.Role.String()
	events = make(chan event, 1)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.open[key]
	if f == nil {
		// The feed outlives the request of the one who opened it.
		ctx, stop := context.WithCancel(context.WithoutCancel(r.Context()))
		f = &feed{
			page: p, poke: make(chan struct{}, 1), stop: stop, readers: map[chan event]bool{},
			request: &Request{Request: r.Clone(ctx), Session: r.Session},
		}
		fs.open[key] = f
		go f.run(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readers[events] = true
	if f.lastEvent.name != "" {
		events <- f.lastEvent
	}
	return events, func() {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		f.mu.Lock()
		defer f.mu.Unlock()
		if delete(f.readers, events); len(f.readers) == 0 {
			f.stop()
			delete(fs.open, key)
		}
	}
}

// look has all open pages look again now: something was changed.
func (fs *feeds) look() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.open {
		select {
		case f.poke <- struct{}{}:
		default:
		}
	}
}

func (f *feed) run(ctx context.Context) {
	tick := time.NewTicker(f.page.every())
	defer tick.Stop()
	for {
		f.refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-f.poke:
		}
	}
}

// refresh sends what has changed, or that nothing has.
func (f *feed) refresh(ctx context.Context) {
	view, err := f.page.load(ctx, f.request)
	if ctx.Err() != nil {
		return
	}
	var html bytes.Buffer
	if err == nil {
		err = f.page.template.ExecuteTemplate(&html, "live-part", view)
	}
	if err != nil {
		failed := f.page.frame.failure(f.request, err) //nolint:contextcheck // of the request for which all look
		f.send(event{"trouble", encode(failed.Title + ": " + failed.Detail)}, [sha256.Size]byte{})
		return
	}
	shown := sha256.Sum256(html.Bytes())
	f.mu.Lock()
	same := shown == f.shown
	f.mu.Unlock()
	if same {
		f.send(event{"same", encode(view.At.UnixMilli())}, shown)
		return
	}
	f.send(event{"live", encode(map[string]any{"at": view.At.UnixMilli(), "html": html.String()})}, shown)
}

// encode makes one line of anything that can be encoded.
func encode(v any) string {
	encoded, err := json.Marshal(v)
	if err != nil {
		return "null"
	}
	return string(encoded)
}

// send replaces what a reader has not taken yet: what counts is how it is now. An event that says
// that nothing has changed replaces nothing.
func (f *feed) send(e event, shown [sha256.Size]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown = shown
	if e.name != "same" {
		f.lastEvent = e
	}
	for reader := range f.readers {
		if e.name != "same" {
			select {
			case <-reader:
			default:
			}
		}
		select {
		case reader <- e:
		default:
		}
	}
}

// stream serves one reader of a page.
func (p *servedPage) stream(w http.ResponseWriter, r *Request) error {
	if p.every() < 0 {
		w.WriteHeader(http.StatusNoContent) // an EventSource stops at that
		return nil
	}
	leave, ok := p.frame.Waiting.Enter()
	if !ok {
		return errBusy
	}
	defer leave()
	ctx, cancel := p.frame.Waiting.Until(r.Context())
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, streamFor)
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	write := func(text string) error {
		if err := control.SetWriteDeadline(time.Now().Add(sendWithin)); err != nil {
			return err
		}
		if _, err := w.Write([]byte(text)); err != nil {
			return err
		}
		return control.Flush()
	}
	events, part := p.frame.feeds.join(p, r)
	defer part()
	if write("retry: 1000\n\n") != nil {
		return nil // the client has gone
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-events:
			// Whose token was taken away, or has expired, is shown nothing more.
			if now := p.frame.Sessions.Of(r.Request); now.Holder != r.Session.Holder {
				return nil
			}
			if write(fmt.Sprintf("event: %s\ndata: %s\n\n", e.name, e.data)) != nil {
				return nil // the client has gone
			}
		}
	}
}
