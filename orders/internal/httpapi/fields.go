package httpapi

import (
	"fmt"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/httpserver"
	"waybill.example/contracts"
	"waybill.example/orders/order"
)

// name is a user id or a sku: 1 to 128 bytes of UTF-8. JSON Schema counts characters, so its limit
// says the same for ASCII only; the bytes are counted here.
type name string

// Schema declares a name to huma.
func (name) Schema(huma.Registry) *huma.Schema {
	s := printable(contracts.MaxNameBytes)
	s.MinLength = new(1)
	return s
}

// Resolve finds what the schema cannot.
func (n name) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	if len(n) > contracts.MaxNameBytes && utf8.RuneCountInString(string(n)) <= contracts.MaxNameBytes {
		return faults(at, "expected at most %d bytes of UTF-8", contracts.MaxNameBytes)
	}
	return httpserver.PlainText(at, string(n))
}

// text is a note or a reason: up to 1,000 characters (Unicode code points).
type text string

// Schema declares a text to huma.
func (text) Schema(huma.Registry) *huma.Schema { return printable(order.MaxTextRunes) }

// Resolve finds what the schema cannot.
func (t text) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	return httpserver.PlainText(at, string(t))
}

// printable is a string without control characters, of so many characters at most.
func printable(length int) *huma.Schema {
	return &huma.Schema{
		Type:               huma.TypeString,
		MaxLength:          &length,
		Pattern:            `^[^\x00-\x1f\x7f-\x9f]*$`,
		PatternDescription: "free of control characters",
	}
}

func faults(at *huma.PathBuffer, message string, args ...any) []error {
	return []error{&huma.ErrorDetail{Location: at.String(), Message: fmt.Sprintf(message, args...)}}
}
