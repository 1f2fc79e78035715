package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// sendTimeout bounds one delivery.
const sendTimeout = 10 * time.Second

// Webhook is where notifications go. It is safe for concurrent use.
type Webhook struct {
	url    string
	signer *standardwebhooks.Webhook
	client *http.Client
}

// NewWebhook returns the webhook at an address. Deliveries are signed with the secret, 24 to 64
// random bytes in base64 behind whsec_, as standardwebhooks.com has it; its libraries verify them.
func NewWebhook(address, secret string) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the address of the webhook must be a URL such as https://host/path")
	}
	const shortest = len("whsec_") + 32 // of 24 bytes
	if len(secret) < shortest {
		return nil, errors.New("the secret of the webhook must be whsec_ and 24 random bytes or more in base64: echo whsec_$(openssl rand -base64 24)")
	}
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, errors.New("the secret of the webhook must be whsec_ and base64: echo whsec_$(openssl rand -base64 24)")
	}
	// The event is for the address that was set, and for no other that it may name.
	client := &http.Client{Timeout: sendTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &Webhook{url: address, signer: signer, client: client}, nil
}

// Send delivers an event once. It was taken if the error is nil.
func (w *Webhook) Send(ctx context.Context, id uuid.UUID, event []byte) error {
	now := time.Now()
	signature, err := w.signer.Sign(id.String(), now, event)
	if err != nil {
		return fmt.Errorf("sign notification %s: %w", id, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(event))
	if err != nil {
		return errors.New("the address of the webhook is not valid")
	}
	request.Header.Set("Content-Type", "application/cloudevents+json")
	request.Header.Set(standardwebhooks.HeaderWebhookID, id.String())
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	response, err := w.client.Do(request)
	if err != nil {
		// The address may carry a secret of the receiver's: it is not for logs.
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return fmt.Errorf("no answer from the webhook: %w", err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection can be used again
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the webhook answered %s", response.Status)
	}
	return nil
}
