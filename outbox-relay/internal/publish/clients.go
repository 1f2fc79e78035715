package publish

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"

	chassis "waybill.example/chassis/kafka"
)

// Clients are the Kafka clients that the sources of a process have in common, so that a relay of
// hundreds of databases, most of which are quiet, gets by with a few: each client has half a dozen
// threads and a connection to every broker. A client is opened when it is first needed and closed
// when nobody uses it any more. Clients is safe for concurrent use.
//
// # Who shares
//
// A producer is shared by up to [sharesPerClient] databases that have a row now and then. Those
// with more have one of their own, since max.in.flight=1 lets a connection carry one request at a
// time.
//
// The first row that a broker refuses ends a producer (see the package's documentation), and so for
// all who share it. Each sends again what was not acknowledged, in order, through another: a pause
// of half a second, and duplicates of the few rows that were in flight. The database whose row it
// was takes a producer of its own from then on: it costs its neighbours that once, however many bad
// rows it has. Rows of several databases may be in one request, so that a request was refused does
// not even say whose row it was: each is asked about alone.
//
// Nothing of the order of a key depends on who else sends with the same producer: keys have an
// order within one database, and the argument about late requests is about the rows of one database
// in one life of a producer.
type Clients struct {
	config chassis.Config
	log    *slog.Logger

	mu      sync.Mutex
	sharing []*shared    // that take more shares
	prober  *probeClient // nil while nobody probes
}

// NewClients returns the clients of a process. It opens none yet.
func NewClients(config chassis.Config, log *slog.Logger) *Clients {
	return &Clients{config: config, log: log}
}

// Fit says whether the clients are those of these settings. A database with another login must not
// send with them.
func (c *Clients) Fit(config chassis.Config) bool { return reflect.DeepEqual(c.config, config) }

// Share returns a share of a database in a low-latency producer. It does not wait for a broker.
func (c *Clients) Share(database string) (*Producer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.free()
	if err != nil {
		return nil, configError(fmt.Errorf("start a Kafka producer for database %s: %w", database, err))
	}
	return &Producer{client: s.client, encoder: newEncoder(database), share: s.join()}, nil
}

// free returns a producer that has a share left.
func (c *Clients) free() (*shared, error) {
	for _, s := range c.sharing {
		if len(s.shares) < sharesPerClient {
			return s, nil
		}
	}
	s, err := openShared(c)
	if err != nil {
		return nil, err
	}
	c.sharing = append(c.sharing, s)
	return s, nil
}

// withhold lets nobody else have a share in a producer.
func (c *Clients) withhold(s *shared) {
	c.sharing = slices.DeleteFunc(c.sharing, func(other *shared) bool { return other == s })
}

// Prober returns a prober of a database. It does not wait for a broker.
func (c *Clients) Prober(database string) (*Prober, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.prober == nil {
		client, err := openProbeClient(c.config, c.log)
		if err != nil {
			return nil, configError(fmt.Errorf("start the probing Kafka producer: %w", err))
		}
		c.prober = client
	}
	c.prober.users++
	return newProber(c, c.prober, database), nil
}

// leaveProber closes the probing client with its last user.
func (c *Clients) leaveProber(client *probeClient) {
	c.mu.Lock()
	client.users--
	last := client.users == 0
	if last {
		c.prober = nil
	}
	c.mu.Unlock()
	if last {
		client.close()
	}
}
