package httpserver

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLSConfig is the certificate of a server, for all of its listeners. Both files are PEM; they are
// read again when they change, so that a certificate is renewed without a restart.
type TLSConfig struct {
	CertFile string `env:"HTTP_TLS_CERT_FILE"`
	KeyFile  string `env:"HTTP_TLS_KEY_FILE"`
}

// Validate implements config.Validator.
func (c TLSConfig) Validate() []error {
	if (c.CertFile == "") != (c.KeyFile == "") {
		return []error{errors.New("HTTP_TLS_CERT_FILE and HTTP_TLS_KEY_FILE must be set together")}
	}
	return nil
}

// On reports whether there is one.
func (c TLSConfig) On() bool { return c.CertFile != "" }

// Server returns the settings of a listener; nil without a certificate. The error says that the
// files do not hold one.
func (c TLSConfig) Server(log *slog.Logger) (*tls.Config, error) {
	if !c.On() {
		return nil, nil //nolint:nilnil // there need not be one
	}
	certificate := &certificate{files: c, log: log}
	if _, err := certificate.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate.get}, nil
}

// certificateAge is how old the files may be as a handshake sees them.
const certificateAge = time.Second

// certificate is a pair of files. It is safe for concurrent use.
type certificate struct {
	files TLSConfig
	log   *slog.Logger

	mu        sync.Mutex
	read      time.Time
	cert, key []byte // as they were last read
	fault     string
	current   *tls.Certificate
}

// get returns the certificate as the files have it. While they cannot be read or do not fit, as
// between the replacement of one and of the other, it is the one of before.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.read) < certificateAge {
		return c.current, nil
	}
	c.read = now
	next, err := c.load()
	switch {
	case err == nil && next == nil: // as before
	case err == nil:
		if c.current != nil {
			c.log.Info("the certificate was read again", "file", c.files.CertFile)
		}
		c.current, c.fault = next, ""
	case c.current == nil:
		return nil, err
	case err.Error() != c.fault:
		c.fault = err.Error()
		c.log.Warn("the certificate cannot be read again, and the one of before is used", "error", err)
	}
	return c.current, nil
}

// load returns nil where the files are as they were.
func (c *certificate) load() (*tls.Certificate, error) {
	cert, err := os.ReadFile(c.files.CertFile)
	if err != nil {
		return nil, fmt.Errorf("read HTTP_TLS_CERT_FILE: %w", err)
	}
	key, err := os.ReadFile(c.files.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read HTTP_TLS_KEY_FILE: %w", err)
	}
	if c.current != nil && bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return nil, nil //nolint:nilnil // as before
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read HTTP_TLS_CERT_FILE and HTTP_TLS_KEY_FILE: %w", err)
	}
	c.cert, c.key = cert, key
	return &pair, nil
}
