package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// requestTimeout is longer than the API watches an intervention.
const requestTimeout = 20 * time.Second

// show calls the API and prints the answer, as JSON or for people.
func (s *Saga) show(t Terminal, method, path string, body, into any, human func(*printer)) error {
	answer, err := s.call(t.Context, method, path, body)
	if err != nil {
		return err
	}
	if s.JSON {
		_, err := t.Out.Write(append(bytes.TrimSpace(answer), '\n'))
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s does not answer like an orchestrator: %w", s.URL, err)
	}
	p := &printer{}
	human(p)
	_, err = p.WriteTo(t.Out)
	return err
}

func (s *Saga) call(ctx context.Context, method, path string, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(s.URL, "/")+path, content)
	if err != nil {
		return nil, fmt.Errorf("%q is no URL of an orchestrator: set --url or ORCHESTRATOR_URL", s.URL)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if s.ifMatch > 0 {
		request.Header.Set("If-Match", strconv.Quote(strconv.Itoa(s.ifMatch)))
	}
	if s.Token != "" {
		if !s.Insecure && exposed(request.URL) {
			return nil, fmt.Errorf("the token would go to %s in the clear: use https://, or --insecure where the way there is safe", request.URL.Host)
		}
		request.Header.Set("Authorization", "Bearer "+s.Token)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no orchestrator answers at %s; start it, or set --url or ORCHESTRATOR_URL", s.URL)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", s.URL, err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return nil, refused(response.StatusCode, answer)
	}
	return answer, nil
}

// client follows no redirect: the token is for the host that the operator named.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// exposed says whether others can read what is sent to a URL: it leaves this machine without TLS.
func exposed(u *url.URL) bool {
	if u.Scheme == "https" || u.Hostname() == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err != nil || !ip.Unmap().IsLoopback()
}

// refused turns a problem (RFC 9457) into one line.
func refused(status int, answer []byte) error {
	var problem struct {
		Detail string
		Errors []struct{ Message, Location string }
	}
	if json.Unmarshal(answer, &problem) != nil || problem.Detail == "" {
		return fmt.Errorf("the orchestrator answered %d %s", status, http.StatusText(status))
	}
	parts := []string{problem.Detail}
	for _, e := range problem.Errors {
		parts = append(parts, e.Location+": "+e.Message)
	}
	if status == http.StatusUnauthorized {
		parts = append(parts, "set --token or ORCHESTRATOR_TOKEN")
	}
	return errors.New(strings.Join(parts, "; "))
}
