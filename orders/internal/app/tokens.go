package app

import (
	"errors"

	"waybill.example/chassis/admin"
)

// Validate implements config.Validator.
func (c Config) Validate() []error {
	_, _, err := c.tokens()
	if err != nil {
		return []error{err}
	}
	return nil
}

// tokens are those of operators and of readers.
func (c Config) tokens() (operators, readers admin.Tokens, err error) {
	operators, bad := admin.Parse("ORDERS_ADMIN_TOKENS", c.AdminTokens)
	readers, worse := admin.ParseReaders("ORDERS_READ_TOKENS", c.ReadTokens)
	return operators, readers, errors.Join(bad, worse)
}
