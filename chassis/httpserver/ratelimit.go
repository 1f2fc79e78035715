package httpserver

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/time/rate"
)

// maxBuckets bounds the memory of a [RateLimiter]: some 150 bytes for each.
const maxBuckets = 100_000

// RateLimiter lets each key (a user, for instance) do so much: a token bucket per key. It is safe
// for concurrent use.
//
// A bucket that is not used for as long as it takes to fill is as good as a new one, so it is
// forgotten. Where there are more keys than buckets, those that were not used for longest are
// forgotten before, and are full when they come again: the limit errs on the side of the client.
type RateLimiter struct {
	policy string
	rate   rate.Limit
	burst  int
	fill   time.Duration // from empty to full
	max    int           // buckets of a generation

	mu        sync.Mutex
	young     map[string]*rate.Limiter // used since began
	old       map[string]*rate.Limiter // used in the generation before
	generated time.Time                // when young began
}

// NewRateLimiter returns a limiter of so many requests per second and key, and as many at once as
// burst says. policy names it to clients.
func NewRateLimiter(policy string, perSecond float64, burst int) *RateLimiter {
	return &RateLimiter{
		policy: policy, rate: rate.Limit(perSecond), burst: burst,
		fill: time.Duration(float64(burst) / perSecond * float64(time.Second)), max: maxBuckets / 2,
		young: make(map[string]*rate.Limiter),
	}
}

// Take takes a token of a key's bucket, and says what is left. err is the answer, 429, where there
// is none.
func (l *RateLimiter) Take(key string, now time.Time) (left Quota, err error) {
	bucket := l.bucket(key, now)
	allowed := bucket.AllowN(now, 1)
	tokens := max(0, bucket.TokensAt(now))
	left = l.quota(tokens)
	if allowed {
		return left, nil
	}
	wait := seconds((1 - tokens) / float64(l.rate))
	header := http.Header{}
	left.set(header)
	header.Set("Retry-After", strconv.Itoa(wait))
	return left, huma.ErrorWithHeaders(
		huma.NewError(http.StatusTooManyRequests, fmt.Sprintf("more requests than the limit of this %s allows; send it again in %d s", l.policy, wait)), header)
}

// bucket finds or makes a key's bucket.
func (l *RateLimiter) bucket(key string, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.generated) >= l.fill || len(l.young) >= l.max {
		l.old, l.young, l.generated = l.young, make(map[string]*rate.Limiter), now
	}
	b := l.young[key]
	if b == nil {
		if b = l.old[key]; b == nil {
			b = rate.NewLimiter(l.rate, l.burst)
		}
		l.young[key] = b
	}
	return b
}

// Buckets returns how many keys are remembered.
func (l *RateLimiter) Buckets() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.young) + len(l.old)
}

// seconds rounds up to whole ones.
func seconds(s float64) int { return int(math.Ceil(s)) }

// Quota is what a client has left, in headers that it can act on: the two fields of
// draft-ietf-httpapi-ratelimit-headers-10, and the three of its version 06, which more clients
// know. All are absent where there is no limit. Embed it in an operation's output.
type Quota struct {
	Policy    string `header:"RateLimit-Policy" doc:"The limit: its name, q requests in w seconds (draft-ietf-httpapi-ratelimit-headers-10)" example:"\"user\";q=20;w=10"`
	Left      string `header:"RateLimit" doc:"r requests are left; t seconds until all are again" example:"\"user\";r=19;t=1"`
	Limit     string `header:"RateLimit-Limit" doc:"The limit, as a number of requests" example:"20"`
	Remaining string `header:"RateLimit-Remaining" doc:"Requests that are left" example:"19"`
	Reset     string `header:"RateLimit-Reset" doc:"Seconds until all are again" example:"1"`
}

func (l *RateLimiter) quota(tokens float64) Quota {
	left, reset := int(tokens), seconds((float64(l.burst)-tokens)/float64(l.rate))
	return Quota{
		Policy:    fmt.Sprintf(`"%s";q=%d;w=%d`, l.policy, l.burst, seconds(l.fill.Seconds())),
		Left:      fmt.Sprintf(`"%s";r=%d;t=%d`, l.policy, left, reset),
		Limit:     strconv.Itoa(l.burst),
		Remaining: strconv.Itoa(left),
		Reset:     strconv.Itoa(reset),
	}
}

func (q Quota) set(header http.Header) {
	header.Set("RateLimit-Policy", q.Policy)
	header.Set("RateLimit", q.Left)
	header.Set("RateLimit-Limit", q.Limit)
	header.Set("RateLimit-Remaining", q.Remaining)
	header.Set("RateLimit-Reset", q.Reset)
}
