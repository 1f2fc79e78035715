package relay

import "time"

// gate lets no row of a key out while an earlier one is in flight, before the broker knows the
// producer. There is one for each topic and life of a producer. It does no I/O.
//
// The client makes one request while another is under way, and sends it also when the answer ends
// the producer: max.in.flight=1 only keeps it from being sent before that. Once a broker has taken
// a row of a partition from a producer, it refuses what comes behind a refused request by its
// sequence number. Before that it takes any number as the first:
//
//  1. The first request of a new producer has row 1 of a key. The second, which is made behind it,
//     has row 2.
//  2. The broker refuses row 1. The producer ends, and the second request is sent nevertheless.
//  3. The broker, which has nothing of this producer, takes row 2, before row 1.
//
// So the second row of a key waits until its partition has taken one, which is a matter of one
// round trip for each partition. Rows of different keys may overtake each other.
type gate struct {
	partitions int         // of the topic, as far as is known
	taken      []time.Time // by partition, when the broker last took a row of this producer
	open       time.Time   // until then all partitions have taken rows lately enough
	// While the gate is not open: the partitions of keys, as answers showed them, and the keys that
	// have a row in flight.
	keys     map[string]int32
	inFlight map[string]struct{}
}

const (
	// A broker forgets producers that have sent nothing for long (producer.id.expiration.ms, a day
	// by default).
	knownFor = 10 * time.Minute
	// Of how many keys the partition is remembered.
	maxGateKeys = 4096
)

// renew is for the next producer, of which the broker knows nothing.
func (g *gate) renew() { *g = gate{partitions: g.partitions} }

// waits says whether a row of the key has to wait for an answer.
func (g *gate) waits(key []byte, now time.Time) bool {
	if key == nil || now.Before(g.open) || g.knows(key, now) {
		return false
	}
	_, inFlight := g.inFlight[string(key)]
	return inFlight
}

// knows says whether the partition of a key has taken a row lately.
func (g *gate) knows(key []byte, now time.Time) bool {
	partition, ok := g.keys[string(key)]
	return ok && now.Sub(g.taken[partition]) < knownFor
}

// sent notes that a row of the key is in flight.
func (g *gate) sent(key []byte, now time.Time) {
	if key == nil || now.Before(g.open) || g.knows(key, now) {
		return
	}
	if g.inFlight == nil {
		g.inFlight = map[string]struct{}{}
	}
	g.inFlight[string(key)] = struct{}{}
}

// took notes that a broker has taken a row.
func (g *gate) took(key []byte, partition int32, now time.Time) {
	if partition < 0 {
		return
	}
	for int(partition) >= len(g.taken) {
		g.taken = append(g.taken, time.Time{})
	}
	g.taken[partition] = now
	if now.Before(g.open) {
		return
	}
	delete(g.inFlight, string(key))
	if g.openUp(now) || key == nil {
		return
	}
	if g.keys == nil || len(g.keys) >= maxGateKeys {
		g.keys = map[string]int32{}
	}
	g.keys[string(key)] = partition
}

// openUp opens the gate if all partitions have taken rows lately.
func (g *gate) openUp(now time.Time) bool {
	if g.partitions == 0 || len(g.taken) < g.partitions {
		return false
	}
	oldest := now
	for _, taken := range g.taken {
		if taken.Before(oldest) {
			oldest = taken
		}
	}
	if now.Sub(oldest) >= knownFor {
		return false
	}
	g.open = oldest.Add(knownFor)
	g.keys, g.inFlight = nil, nil
	return true
}
