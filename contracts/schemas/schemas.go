// Package schemas holds the JSON Schema of each message, named as its type: OrderCreated.json.
package schemas

import "embed"

// FS holds the schemas.
//
//go:embed *.json
var FS embed.FS
