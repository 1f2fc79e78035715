package main

import (
	"encoding/json"
	"io"

	"waybill.example/chassis/terminal"
)

// printJSON writes value as indented JSON.
func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// printf writes for people; what others wrote is made harmless for a terminal.
func printf(out io.Writer, format string, args ...any) { terminal.Fprintf(out, format, args...) }

// table writes rows in columns, the first of them the head; or the words for none.
func table(out io.Writer, rows [][]string, none string) { terminal.Table(out, rows, none) }
