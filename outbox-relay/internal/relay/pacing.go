package relay

import "time"

// pacing says when it is looked for old rows: seldom where there have been none, since each look
// moves the retention clock, which is a row.
type pacing struct {
	often time.Duration // how long after a look that found some
	apart time.Duration // how long after the last look
	last  time.Time
}

// seldom is how many times less often it is looked for old rows at last.
const seldom = 6

func newPacing(often time.Duration) pacing { return pacing{often: often, apart: often} }

// due says whether it is time, and how much has passed since the last look: no more than twice what
// was to pass. Then that time begins.
func (p *pacing) due() (elapsed time.Duration, due bool) {
	elapsed = min(time.Since(p.last), 2*p.apart)
	if elapsed < p.apart {
		return 0, false
	}
	p.last = time.Now()
	return elapsed, true
}

// looked is called after a look.
func (p *pacing) looked(found bool) {
	if p.apart = min(2*p.apart, seldom*p.often); found {
		p.apart = p.often
	}
}
