package broker

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// waiting keeps members of consumer groups alive while they wait for the broker.
//
// A member that has asked to join, or to sync, sends no heartbeat until it is answered, and it is
// answered when the last of the others has rejoined, or the leader has assigned. Apache Kafka does
// not let its session end meanwhile. kfake does: it drops the member and never answers it, so the
// client sits in its request for max.poll.interval.ms, and so do all who wait for it. Two consumers
// that were killed within seconds of each other were enough to leave a group without partitions for
// minutes.
//
// So a member that waits is given a heartbeat twice per second, as long as its connection lives: a
// process that is killed while it waits is dropped when its session is over.
type waiting struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu          sync.Mutex
	generations map[memberID]int32 // the last that a member has named
	members     map[*wait]struct{} // who waits
}

type memberID struct{ group, member string }

// wait is one request that has not been answered.
type wait struct {
	memberID
	correlation int32
	generation  int32
}

const heartbeatEvery = 100 * time.Millisecond // a fifth of the shortest session in our tests

func newWaiting() *waiting {
	return &waiting{generations: make(map[memberID]int32), members: make(map[*wait]struct{})}
}

// run sends heartbeats to the broker at addr until close.
func (w *waiting) run(ctx context.Context, addr string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // a broker outlives what opened it
	w.stop = cancel
	w.done.Go(func() {
		defer client.Close()
		tick := time.NewTicker(heartbeatEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for _, m := range w.now() {
				m.heartbeat(ctx, client)
			}
		}
	})
	return nil
}

func (w *waiting) close() {
	w.stop()
	w.done.Wait()
}

func (w *waiting) now() []wait {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []wait
	for m := range w.members {
		all = append(all, *m)
	}
	return all
}

func (m wait) heartbeat(ctx context.Context, client *kgo.Client) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request := kmsg.NewPtrHeartbeatRequest()
	request.Group, request.MemberID, request.Generation = m.group, m.member, m.generation
	_, _ = request.RequestWith(ctx, client) // in vain where the member has been answered meanwhile
}

// The requests that are looked at.
const (
	keyJoinGroup = 11
	keyHeartbeat = 12
	keySyncGroup = 14
)

// request notes what a request says about a member. The returned wait is over when the response
// with its correlation id is written, or the connection ends.
func (w *waiting) request(key, version int16, correlation int32, body []byte) *wait {
	request := kmsg.RequestForKey(key)
	request.SetVersion(version)
	if request.ReadFrom(body) != nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var waits *wait
	switch r := request.(type) {
	case *kmsg.HeartbeatRequest:
		w.generations[memberID{r.Group, r.MemberID}] = r.Generation
		return nil
	case *kmsg.SyncGroupRequest:
		id := memberID{r.Group, r.MemberID}
		w.generations[id] = r.Generation
		waits = &wait{id, correlation, r.Generation}
	case *kmsg.JoinGroupRequest:
		id := memberID{r.Group, r.MemberID}
		generation, known := w.generations[id]
		if !known {
			return nil // a new member has no session yet
		}
		waits = &wait{id, correlation, generation}
	}
	w.members[waits] = struct{}{}
	return waits
}

func (w *waiting) over(m *wait) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.members, m)
}

// observer reads along one connection. Requests are looked at in the goroutine that reads,
// responses in the one that writes.
type observer struct {
	waiting *waiting
	frame   []byte // of the request that is being read, as far as it is of interest
	size    int    // of it; 0: not known yet
	skip    int    // bytes of a request that is of no interest

	mu    sync.Mutex
	waits *wait // kfake takes one request at a time from a connection
}

// interesting is the length of what has to be read of a request to know whether to read on: its
// size, key, version and correlation id.
const interesting = 4 + 2 + 2 + 4

func (o *observer) read(p []byte) {
	for len(p) > 0 {
		if o.skip > 0 {
			n := min(o.skip, len(p))
			o.skip, p = o.skip-n, p[n:]
			continue
		}
		want := interesting
		if o.size > 0 {
			want = o.size
		}
		n := min(want-len(o.frame), len(p))
		o.frame, p = append(o.frame, p[:n]...), p[n:]
		if len(o.frame) == want {
			o.complete()
		}
	}
}

// complete is called when so much of a request has been read as was wanted.
func (o *observer) complete() {
	size := 4 + int(binary.BigEndian.Uint32(o.frame))
	key := int16(binary.BigEndian.Uint16(o.frame[4:])) // a key is an int16
	switch {
	case key != keyJoinGroup && key != keyHeartbeat && key != keySyncGroup:
		o.skip = max(size-len(o.frame), 0)
	case len(o.frame) < size:
		o.size = size
		return
	default:
		o.request(key)
	}
	o.frame, o.size = o.frame[:0], 0
}

func (o *observer) request(key int16) {
	version := int16(binary.BigEndian.Uint16(o.frame[6:]))     // a version is an int16
	correlation := int32(binary.BigEndian.Uint32(o.frame[8:])) // so is this
	body := withoutHeader(key, version, o.frame[interesting:])
	if body == nil {
		return
	}
	waits := o.waiting.request(key, version, correlation, body)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waits = waits
}

// withoutHeader returns what follows the client id, and the tags of a flexible request.
func withoutHeader(key, version int16, p []byte) []byte {
	if len(p) < 2 {
		return nil
	}
	n := int(int16(binary.BigEndian.Uint16(p))) // a nullable string's length
	p = p[2:]
	if n > len(p) {
		return nil
	}
	p = p[max(n, 0):]
	request := kmsg.RequestForKey(key)
	request.SetVersion(version)
	if request.IsFlexible() {
		if len(p) == 0 || p[0] != 0 {
			return nil // tags, which no client of ours sends
		}
		p = p[1:]
	}
	return p
}

// wrote is given each response as a whole.
func (o *observer) wrote(p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waits != nil && len(p) >= 8 && int32(binary.BigEndian.Uint32(p[4:])) == o.waits.correlation { // a correlation id is an int32
		o.waiting.over(o.waits)
		o.waits = nil
	}
}

func (o *observer) ended() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waits != nil {
		o.waiting.over(o.waits)
		o.waits = nil
	}
}
