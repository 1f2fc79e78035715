package auditlog

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Located is a record and the database that it is of.
type Located struct {
	Database string `json:"database"`
	Record
}

// Export writes records for others to keep. It is not safe for concurrent use.
type Export struct {
	write func(Located) error
	flush func() error
}

// Write writes a record.
func (e Export) Write(r Located) error { return e.write(r) }

// Flush writes what is buffered. It must be called after the last record.
func (e Export) Flush() error { return e.flush() }

// JSONLines returns an export as one JSON object per line, which can be verified.
func JSONLines(out io.Writer) Export {
	buffered := bufio.NewWriter(out)
	encoder := json.NewEncoder(buffered)
	return Export{write: func(r Located) error { return encoder.Encode(r) }, flush: buffered.Flush}
}

// CSV returns an export for spreadsheets, with a header.
func CSV(out io.Writer) Export {
	w := csv.NewWriter(out)
	_ = w.Write([]string{ // flush reports what became of it
		"database", "seq", "at", "actor", "client", "dbRole", "dbClient", "action", "object", "reason", "before", "after", "result", "hash",
	})
	write := func(r Located) error {
		cells := []string{
			r.Database, strconv.FormatInt(r.Seq, 10), r.At.UTC().Format(time.RFC3339Nano), r.Actor, r.Client, r.DBRole, r.DBClient,
			r.Action, r.Object, r.Reason, string(r.Before), string(r.After), r.Result, fmt.Sprintf("%x", r.Hash),
		}
		for i := range cells {
			cells[i] = notAFormula(cells[i])
		}
		return w.Write(cells)
	}
	return Export{write: write, flush: func() error { w.Flush(); return w.Error() }}
}

// notAFormula keeps a spreadsheet from running a reason that begins like a formula
// (OWASP, "CSV Injection").
func notAFormula(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
