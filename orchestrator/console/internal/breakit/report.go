package breakit

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"waybill.example/orchestrator/console/internal/page"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// reportInfo is what there is to say about the report of the latest drills.
type reportInfo struct {
	Title string    `json:"title"`
	At    time.Time `json:"at"`
}

// reportFile is where `drills run` writes, in the directory of the stack.
func reportFile(dir string) string { return filepath.Join(dir, "drills.html") }

var (
	titled = regexp.MustCompile(`<title>(?:Waybill )?([^<]*)</title>`)
	styled = regexp.MustCompile(`(?s)<style>(.*?)</style>`)
)

// findReport returns nil where no drill has run.
func findReport(dir string) *reportInfo {
	info, err := os.Stat(reportFile(dir))
	if err != nil {
		return nil
	}
	found := &reportInfo{Title: "Failure drills", At: info.ModTime()}
	if content, err := os.ReadFile(reportFile(dir)); err == nil {
		if title := titled.FindSubmatch(content); title != nil {
			found.Title = html.UnescapeString(string(title[1]))
		}
	}
	return found
}

// report answers with the report as it is: a page of its own without scripts, whose styles are in
// it. The policy names them by their hashes, and forbids everything else.
func (s screen) report(w http.ResponseWriter, r *page.Request) error {
	content, err := os.ReadFile(reportFile(s.dir))
	if err != nil {
		return page.Invalid("no drill has run with this stack's directory: make drill, or make drills")
	}
	var hashes []string
	for _, style := range styled.FindAllSubmatch(content, -1) {
		hash := sha256.Sum256(style[1])
		hashes = append(hashes, "'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'")
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; style-src "+strings.Join(hashes, " "))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	http.ServeContent(w, r.Request, "", time.Time{}, bytes.NewReader(content))
	return nil
}
