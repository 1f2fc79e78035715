package httpserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"waybill.example/chassis/plaintext"
)

const mediaTypeJSON = "application/json"

// huma would take {"SKU": …} for {"sku": …}, as encoding/json does; the document says otherwise.
func init() { huma.ValidateStrictCasing = true }

// strictJSON reads what RFC 8259 calls interoperable, and nothing else: two readers of such a body
// cannot understand different things.
var strictJSON = huma.Format{
	Marshal: huma.DefaultJSONFormat.Marshal,
	Unmarshal: func(body []byte, into any) error {
		// huma reads a body twice: for validation into an any, then into the operation's struct.
		if _, first := into.(*any); first && !utf8.Valid(body) {
			return errors.New("the body is not UTF-8")
		}
		if _, first := into.(*any); first && plaintext.LoneSurrogate(body) {
			return errors.New("the body escapes half of a character (a lone surrogate)")
		}
		if _, first := into.(*any); first && plaintext.EscapedNUL(body) {
			return errors.New("the body escapes a NUL, which is no text")
		}
		err := json.Unmarshal(body, into)
		if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			// Everything else is found by validation, with a better message.
			return fmt.Errorf("%s: expected a whole number without fraction or exponent, not a JSON %s", wrongType.Field, wrongType.Value)
		}
		if _, first := into.(*any); first && err == nil {
			return duplicateName(body)
		}
		return err
	},
}

// requireJSON refuses a body that is compressed, or does not say that it is JSON, also one that
// says nothing: browsers send such requests across origins without asking first.
func requireJSON(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		request, _ := humachi.Unwrap(ctx)
		nothing := ctx.Operation().RequestBody == nil || request.ContentLength == 0
		if coding := ctx.Header("Content-Encoding"); !nothing && coding != "" && !strings.EqualFold(coding, "identity") {
			_ = huma.WriteErr(api, ctx, http.StatusUnsupportedMediaType, "send the body as it is, without Content-Encoding")
			return
		}
		if nothing || isJSON(ctx.Header("Content-Type")) {
			next(ctx)
			return
		}
		// An error of this is one of the connection; there is nobody to tell.
		_ = huma.WriteErr(api, ctx, http.StatusUnsupportedMediaType, "send the body as "+mediaTypeJSON+" (header Content-Type)")
	}
}

func isJSON(contentType string) bool {
	if contentType == mediaTypeJSON {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && mediaType == mediaTypeJSON
}
