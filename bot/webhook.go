package bot

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"vitrine/deployments"
)

// WebhookPath is where the manifest tells GitHub to send webhooks.
const WebhookPath = "/webhooks/github"

// maxBody is the longest body of a webhook; GitHub's own cap is 25 MB.
const maxBody = 25 << 20

// maxHeader is the longest event name and delivery id that is taken.
const maxHeader = 128

// An Inbox takes in what webhooks ask for.
type Inbox interface {
	// Accept stores what the delivery asks for. After it returned nil, nothing of it can be lost.
	Accept(ctx context.Context, d deployments.Delivery) error
}

// Webhooks returns the handler of [WebhookPath]. It answers 202 only after the inbox took the delivery, and 503 where the inbox did not, so that
// GitHub counts the delivery as failed and it can be sent again. Each refusal says in its body what is wrong.
func (b *Bot) Webhooks(inbox Inbox) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, message := b.receive(w, r, inbox)
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		if status >= 400 {
			b.config.Log.Warn("refuse a webhook", "status", status, "reason", message,
				"event", plain(r.Header.Get("X-GitHub-Event"), maxHeader), "delivery", plain(r.Header.Get("X-GitHub-Delivery"), maxHeader))
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, message+"\n") // a sender that has gone away reads nothing
	})
}

// receive does what a webhook asks for and returns the answer to it.
func (b *Bot) receive(w http.ResponseWriter, r *http.Request, inbox Inbox) (status int, message string) {
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed, "webhooks are sent with POST"
	}
	if r.ContentLength > maxBody {
		return http.StatusRequestEntityTooLarge, "the body is larger than 25 MiB"
	}
	signature := r.Header.Get("X-Hub-Signature-256")
	if signature == "" {
		return http.StatusUnauthorized, "the X-Hub-Signature-256 header is missing; set a secret for the App's webhook"
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge, "the body is larger than 25 MiB"
	}
	if err != nil {
		return http.StatusBadRequest, "the body could not be read to its end"
	}
	if !signed(body, signature, b.config.WebhookSecret) {
		return http.StatusUnauthorized, "the signature does not fit the body; the App's webhook secret and this server's differ"
	}
	event, guid := r.Header.Get("X-GitHub-Event"), r.Header.Get("X-GitHub-Delivery")
	if event == "" || guid == "" || len(event) > maxHeader || len(guid) > maxHeader {
		return http.StatusBadRequest, "the X-GitHub-Event or the X-GitHub-Delivery header is missing or too long"
	}
	d, err := deliveryOf(event, guid, body, b.config.AppID)
	if err != nil && !json.Valid(body) {
		return http.StatusBadRequest, "the body is not JSON; set the webhook's content type to application/json"
	}
	if err != nil {
		return http.StatusBadRequest, err.Error()
	}
	if d = b.limit(d); d.Empty() {
		return http.StatusAccepted, fmt.Sprintf("nothing to do for %s", plain(d.Event, maxHeader))
	}
	b.apps.withdraw(d.Withdrawals)
	for _, r := range d.Renames {
		b.apps.forget(r.From)
		b.apps.forget(r.To)
	}
	if err := inbox.Accept(r.Context(), d); err != nil {
		b.config.Log.Error("accept a webhook", "event", d.Event, "delivery", guid, "error", err)
		return http.StatusServiceUnavailable, "the delivery could not be stored; send it again"
	}
	return http.StatusAccepted, "accepted"
}

// signed reports, in a time that tells nothing, whether signature ("sha256=<64 hex>") is the body's HMAC-SHA-256 under the secret.
func signed(body []byte, signature, secret string) bool {
	digits, ok := strings.CutPrefix(signature, "sha256=")
	given, err := hex.DecodeString(digits)
	if !ok || err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hmac.Equal(mac.Sum(nil), given)
}
