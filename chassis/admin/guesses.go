package admin

import (
	"maps"
	"net/netip"
	"sync"
	"time"
)

// What one address may guess: after guessBurst wrong tokens, one more every guessInterval. Until
// then its requests are answered without a look at their token, or the answer would still tell.
const (
	guessBurst    = 20
	guessInterval = time.Second
	// maxGuessers bounds the addresses that are remembered. Those that come when all places are
	// taken share one.
	maxGuessers = 10_000
)

// guesses limits wrong tokens by address. Its methods may be called from any goroutine.
type guesses struct {
	mu sync.Mutex
	// settled is when an address has paid for all of its guesses, each taking guessInterval.
	settled map[netip.Addr]time.Time
	swept   time.Time // at most once per guessInterval: it looks at every address
}

func newGuesses() *guesses { return &guesses{settled: map[netip.Addr]time.Time{}} }

// blocked reports how long an address has to wait before its next token is looked at; zero if it
// need not.
func (g *guesses) blocked(remote string, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	looks := g.settled[g.place(guesser(remote), now)].Add(-(guessBurst - 1) * guessInterval)
	return max(0, looks.Sub(now))
}

// wrong records a wrong token.
func (g *guesses) wrong(remote string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := g.place(guesser(remote), now)
	settled := g.settled[from]
	if settled.Before(now) {
		settled = now
	}
	g.settled[from] = settled.Add(guessInterval)
}

// place returns what an address is remembered by.
func (g *guesses) place(from netip.Addr, now time.Time) netip.Addr {
	if _, known := g.settled[from]; known || len(g.settled) < maxGuessers {
		return from
	}
	if now.Sub(g.swept) >= guessInterval {
		g.swept = now
		maps.DeleteFunc(g.settled, func(_ netip.Addr, settled time.Time) bool { return settled.Before(now) })
	}
	if len(g.settled) < maxGuessers {
		return from
	}
	return netip.Addr{}
}

// guesser is who a remote host:port is, which has all of an IPv6 /64 to guess from.
func guesser(remote string) netip.Addr {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	if ip := addr.Addr().Unmap(); ip.Is4() {
		return ip
	}
	network, err := addr.Addr().WithZone("").Prefix(64)
	if err != nil {
		return netip.Addr{}
	}
	return network.Addr()
}
