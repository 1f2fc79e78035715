package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// assets serves files under names that have their hash in them, which browsers keep for a year.
type assets struct {
	urls  map[string]string // by name
	files map[string]asset  // by URL
}

type asset struct {
	kind        string
	plain, gzip []byte
}

func newAssets(files fs.FS) (*assets, error) {
	a := &assets{urls: map[string]string{}, files: map[string]asset{}}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) == ".md" || strings.HasPrefix(path.Base(name), "LICENSE") {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		var packed bytes.Buffer
		z, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // the level is a valid one
		if _, err := z.Write(content); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		hash := sha256.Sum256(content)
		ext := path.Ext(name)
		at := "/assets/" + strings.TrimSuffix(path.Base(name), ext) + "-" + hex.EncodeToString(hash[:6]) + ext
		a.urls[path.Base(name)] = at
		a.files[at] = asset{mime.TypeByExtension(ext), content, packed.Bytes()}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the assets: %w", err)
	}
	return a, nil
}

// url is where an asset is; a name that is none is a mistake of a template, which its test finds.
func (a *assets) url(name string) string {
	at, ok := a.urls[name]
	if !ok {
		panic("there is no asset " + name)
	}
	return at
}

func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := a.files[r.URL.Path]
	if !ok {
		http.Error(w, "there is no such asset", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	content := file.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		content = file.gzip
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}
