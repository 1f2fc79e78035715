package kafka

import (
	"sync"
	"time"

	"waybill.example/chassis/config"
)

// loginAge is how old the password of a client may be. It counts when a connection is made.
const loginAge = 2 * time.Second

// LoginAs returns the settings with another login, which stays what it is.
func (c Config) LoginAs(username string, password config.Secret) Config {
	c.SASLUsername, c.SASLPassword, c.fixedLogin = username, password, true
	return c
}

// rotated is the file with the password; nil where it stays what it is.
func (c Config) rotated() *config.File {
	if c.fixedLogin || c.SASLUsername == "" {
		return nil
	}
	return config.FileOf("KAFKA_SASL_PASSWORD")
}

// password is what a client that is made now logs in with.
func (c Config) password() string {
	if file := c.rotated(); file != nil {
		if text, err := file.Text(); err == nil && text != "" {
			return text
		}
	}
	return string(c.SASLPassword)
}

// Client is a client of librdkafka, as far as its login goes.
type Client interface {
	SetSaslCredentials(username, password string) error
}

// FollowLogin has a client log in with the password that KAFKA_SASL_PASSWORD_FILE holds by then,
// each time that it connects: a password is rotated without a restart. stop must be called before
// the client is closed; it may be called again.
func (c Config) FollowLogin(client Client) (stop func()) {
	file := c.rotated()
	if file == nil {
		return func() {}
	}
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		known := string(c.SASLPassword)
		tick := time.NewTicker(loginAge)
		defer tick.Stop()
		for {
			// The text of before is kept where there is none: a slip must not log anybody out.
			if text, err := file.Text(); err == nil && text != "" && text != known && client.SetSaslCredentials(c.SASLUsername, text) == nil {
				known = text
			}
			select {
			case <-ending:
				return
			case <-tick.C:
			}
		}
	}()
	return sync.OnceFunc(func() { close(ending); <-ended })
}
