package broker

import (
	"errors"
	"net"
	"sync"
	"time"
)

// listen opens the broker's listener.
func (cfg Config) listen(network, address string, waiting *waiting) (net.Listener, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	addr := l.Addr()
	if cfg.Advertise != "" {
		if addr, err = net.ResolveTCPAddr("tcp", cfg.Advertise); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return listener{l, addr, waiting}, nil
}

// listener calls itself by the address that clients are to use: kfake tells them
// what its listener says.
type listener struct {
	net.Listener
	addr    net.Addr
	waiting *waiting
}

func (l listener) Addr() net.Addr { return l.addr }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, closed: make(chan struct{}), observer: observer{waiting: l.waiting}}, nil
}

// conn tells the broker late that its client has gone.
//
// A consumer that is killed while it waits for its group to be formed is still a
// member of it. Kafka forms the group, hears no heartbeat from that member, and
// drops it when its session is over. kfake starts a session only for a member
// that it could answer; one whose connection it knows to be gone stays forever,
// and holds partitions that nobody reads. So it must not know until the group
// has been formed, which takes a session's length.
type conn struct {
	net.Conn
	closing sync.Once
	closed  chan struct{}
	frames  frames

	observer observer
}

// linger is longer than any consumer's session here.
const linger = 30 * time.Second

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.frames.read(p[:n]) {
		return 0, errors.Join(errNotKafka, c.Close())
	}
	c.observer.read(p[:n])
	if err != nil {
		c.observer.ended()
		timer := time.NewTimer(linger)
		defer timer.Stop()
		select {
		case <-c.closed:
		case <-timer.C:
		}
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	c.observer.wrote(p)
	return c.Conn.Write(p)
}

func (c *conn) Close() error {
	c.closing.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

var errNotKafka = errors.New("the client does not speak Kafka's protocol")

// maxRequest is Kafka's socket.request.max.bytes.
const maxRequest = 100 << 20

// frames follows the requests on a connection, each a length of four bytes and as many bytes. kfake
// allocates what the length says before it reads on; "GET " would be a gigabyte, and a web page can
// have a browser send that.
type frames struct {
	length uint32 // as far as it has been read
	have   int    // bytes of the length that have been read
	left   uint32 // bytes of the request that have not
}

// read takes the next bytes, and reports whether they can be Kafka's.
func (f *frames) read(p []byte) bool {
	for len(p) > 0 {
		if f.left > 0 {
			n := min(uint32(len(p)), f.left)
			f.left -= n
			p = p[n:]
			continue
		}
		f.length, f.have, p = f.length<<8|uint32(p[0]), f.have+1, p[1:]
		if f.have < 4 {
			continue
		}
		if f.length > maxRequest {
			return false
		}
		f.left, f.length, f.have = f.length, 0, 0
	}
	return true
}
