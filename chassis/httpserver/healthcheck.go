package httpserver

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"waybill.example/chassis/config"
	"waybill.example/chassis/terminal"
)

// Healthcheck is the verb (see alecthomas/kong) with which a command asks its own running process
// how it is: a container's health check needs no other program in the image.
type Healthcheck struct {
	Endpoint string        `arg:"" optional:"" enum:"livez,readyz" default:"readyz" help:"What to ask: livez or readyz."`
	Timeout  time.Duration `default:"2s" help:"How long to wait for an answer."`
}

// Look asks the process that listens where HTTP_ADDR says, or else where c says, and prints a line.
// It returns an error unless the answer is 200.
func (h Healthcheck) Look(ctx context.Context, c Config, out io.Writer) error {
	if err := config.Load(&c); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil || port == "0" {
		return fmt.Errorf("healthcheck: HTTP_ADDR=%s does not say where to ask", c.Addr)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	scheme := "http"
	if c.TLS.On() {
		scheme = "https"
	}
	url := scheme + "://" + net.JoinHostPort(host, port) + "/" + h.Endpoint
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	status, body, err := ask(ctx, url)
	if err != nil {
		return fmt.Errorf("healthcheck: %s does not answer: %w", url, err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("healthcheck: %s answered %d%s", url, status, terminal.Clean(wrong(body)))
	}
	_, err = fmt.Fprintf(out, "healthcheck: %s answered %d\n", url, status)
	return err
}

// ask goes to the address itself, by no proxy, under a name that is served whatever HTTP_HOSTS
// says.
func ask(ctx context.Context, url string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	request.Host = "localhost"
	// The certificate is for the names that others use. Nothing is sent that they may not know, and
	// it is asked for nothing but whether it answers.
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // see above
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBodyBytes))
	return response.StatusCode, body, err
}

// wrong says which checks of /readyz failed, and why.
func wrong(body []byte) string {
	var answer readiness
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	var failed []string
	for _, name := range slices.Sorted(maps.Keys(answer.Checks)) {
		if text := answer.Checks[name]; text != checkOK {
			failed = append(failed, name+": "+text)
		}
	}
	if len(failed) == 0 {
		return ""
	}
	return ": " + strings.Join(failed, "; ")
}
