package githubsim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	deliveryTimeout  = 10 * time.Second   // docs.github.com, "Handling webhook deliveries"
	deliveriesKept   = 3 * 24 * time.Hour // docs.github.com, "Viewing webhook deliveries"
	responseKept     = 64 << 10
	failedToConnect  = http.StatusBadGateway // what GitHub records where nobody answered
	failedToAnswer   = http.StatusGatewayTimeout
	hookUserAgent    = "GitHub-Hookshot/0000000"
	installationKind = "integration"
)

var (
	errClosed  = errors.New("the simulated GitHub is closed")
	errForeign = errors.New("the simulated GitHub sends webhooks to this machine only")
)

// A Delivery is one attempt to bring a webhook to the App. A failed one is not repeated by itself, as on GitHub.
type Delivery struct {
	ID         int64
	GUID       string // shared by the attempts of one event
	Event      string // "pull_request"
	Action     string // "opened"; may be empty
	Repository string // "acme/shop"; empty for a ping
	Redelivery bool
	Body       []byte // what was sent
	Done       bool   // an answer is there, or none will come
	Status     int    // of the answer; 502 where nobody listened, 504 where nobody answered in time; 0 while it waits
	Outcome    string // in words: "OK", "failed to connect to host"
	At         time.Time
	Took       time.Duration

	installation, repository int64
	url                      string // that it was sent to
	sent, got                http.Header
	response                 string
}

// hooks delivers, one at a time and in order, what is put into its queue.
type hooks struct {
	client *http.Client
	now    func() time.Time
	log    *slog.Logger
	cancel context.CancelCauseFunc
	ended  chan struct{}
	wake   chan struct{}

	mu         sync.Mutex
	url        string
	secret     string
	app        int64
	dropping   bool // new ones are lost
	lastID     int64
	deliveries []*Delivery   // oldest first
	queue      []*Delivery   // those that are not done
	idle       chan struct{} // closed while the queue is empty
	stopped    bool
}

func (h *hooks) start(now func() time.Time, log *slog.Logger, url, secret string, app int64) {
	h.now, h.log, h.url, h.secret, h.app = now, log, url, secret, app
	h.client = &http.Client{
		Timeout:       deliveryTimeout,
		Transport:     &http.Transport{DialContext: dialLoopback},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	h.cancel, h.ended, h.wake, h.idle = cancel, make(chan struct{}), make(chan struct{}, 1), make(chan struct{})
	close(h.idle)
	go h.work(ctx)
}

// dialLoopback connects to this machine only. Names below localhost are this machine (RFC 6761 §6.3), though Go's resolver knows only the
// name itself.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(host) == nil && isLocal(host) {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	dialer := net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		host, _, err := net.SplitHostPort(address)
		if err == nil && !net.ParseIP(host).IsLoopback() {
			err = errForeign
		}
		return err
	}}
	return dialer.DialContext(ctx, network, address)
}

func (h *hooks) stop() {
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	h.cancel(errClosed)
	<-h.ended
	h.client.CloseIdleConnections()
}

func (h *hooks) setURL(address string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.url = address
}

func (h *hooks) setSecret(secret string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.secret = secret
}

// register changes whose webhooks are sent. Those of the App before are nobody's any more.
func (h *hooks) register(url, secret string, app int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.url, h.secret, h.app = url, secret, app
	h.deliveries = nil
	h.queue = h.queue[:min(1, len(h.queue))] // the first may be under way
}

// address returns where a delivery goes, and its headers.
func (h *hooks) address(d *Delivery) (string, http.Header) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.url, h.headers(d)
}

func (h *hooks) settled(ctx context.Context) error {
	h.mu.Lock()
	idle := h.idle
	h.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-h.ended:
		return errClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for the webhooks' deliveries: %w", context.Cause(ctx))
	}
}

// put queues a delivery, where there is anywhere to deliver to. An event is lost while they are dropped.
func (h *hooks) put(d *Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.url == "" || h.stopped || h.dropping && !d.Redelivery {
		return
	}
	h.lastID++
	d.ID, d.At = h.lastID, h.now().UTC()
	h.forget(d.At)
	h.deliveries = append(h.deliveries, d)
	if len(h.queue) == 0 {
		h.idle = make(chan struct{})
	}
	h.queue = append(h.queue, d)
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// forget drops what is too old to be kept. Call it with mu held.
func (h *hooks) forget(now time.Time) {
	h.deliveries = slices.DeleteFunc(h.deliveries, func(old *Delivery) bool { return old.Done && now.Sub(old.At) > deliveriesKept })
}

func (h *hooks) work(ctx context.Context) {
	defer close(h.ended)
	for {
		h.mu.Lock()
		var next *Delivery
		if len(h.queue) > 0 {
			next = h.queue[0]
		}
		h.mu.Unlock()
		if next != nil {
			h.deliver(ctx, next)
		}
		if ctx.Err() != nil {
			return
		}
		if next == nil {
			select {
			case <-h.wake:
			case <-ctx.Done():
				return
			}
		}
	}
}

// deliver sends a delivery, records what came of it and takes it off the queue.
func (h *hooks) deliver(ctx context.Context, d *Delivery) {
	address, header := h.address(d)
	began := time.Now() // how long it took is told by the real clock
	status, outcome, got, body := h.post(ctx, address, header, d.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	d.Done, d.Status, d.Outcome, d.Took = true, status, outcome, time.Since(began)
	d.url, d.sent, d.got, d.response = address, header, got, body
	h.queue = h.queue[1:]
	if len(h.queue) == 0 {
		close(h.idle)
	}
	if status >= 400 {
		h.log.Warn("a webhook was not taken", "event", d.Event, "action", d.Action, "delivery", d.GUID, "status", status, "outcome", outcome)
	}
}

func (h *hooks) post(ctx context.Context, address string, header http.Header, body []byte) (status int, outcome string, got http.Header, answer string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return failedToConnect, err.Error(), nil, ""
	}
	req.Header = maps.Clone(header)
	res, err := h.client.Do(req)
	if err != nil {
		var timeout net.Error
		switch {
		case ctx.Err() != nil:
			return failedToConnect, context.Cause(ctx).Error(), nil, ""
		case errors.Is(err, errForeign):
			return failedToConnect, errForeign.Error(), nil, ""
		case errors.As(err, &timeout) && timeout.Timeout():
			return failedToAnswer, "timed out", nil, ""
		}
		return failedToConnect, "failed to connect to host", nil, ""
	}
	defer res.Body.Close()
	read, err := io.ReadAll(io.LimitReader(res.Body, responseKept))
	if err != nil {
		return failedToAnswer, "timed out", res.Header, ""
	}
	if res.StatusCode >= 400 {
		return res.StatusCode, "Invalid HTTP Response: " + strconv.Itoa(res.StatusCode), res.Header, string(read)
	}
	return res.StatusCode, "OK", res.Header, string(read)
}

// headers is called with mu held.
func (h *hooks) headers(d *Delivery) http.Header {
	header := http.Header{}
	for name, value := range map[string]string{
		"Accept":                                 "*/*",
		"Content-Type":                           "application/json",
		"User-Agent":                             hookUserAgent,
		"X-GitHub-Delivery":                      d.GUID,
		"X-GitHub-Event":                         d.Event,
		"X-GitHub-Hook-ID":                       strconv.FormatInt(h.app, 10),
		"X-GitHub-Hook-Installation-Target-ID":   strconv.FormatInt(h.app, 10),
		"X-GitHub-Hook-Installation-Target-Type": installationKind,
	} {
		header.Set(name, value)
	}
	if h.secret != "" {
		header.Set("X-Hub-Signature", "sha1="+sign(sha1.New, h.secret, d.Body))
		header.Set("X-Hub-Signature-256", "sha256="+sign(sha256.New, h.secret, d.Body))
	}
	return header
}

func sign(h func() hash.Hash, secret string, body []byte) string {
	mac := hmac.New(h, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Deliveries returns the webhooks of the last three days, oldest first, those that still wait included.
func (s *Server) Deliveries() []Delivery {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.forget(s.now().UTC())
	out := make([]Delivery, 0, len(s.hooks.deliveries))
	for _, d := range s.hooks.deliveries {
		out = append(out, *d)
	}
	return out
}

// DropWebhooks has every event be lost from now on, as if it had never happened: it is neither sent nor listed. false ends it.
func (s *Server) DropWebhooks(drop bool) {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.dropping = drop
}

// Redeliver sends a webhook again, behind those that wait.
func (s *Server) Redeliver(guid string) error {
	for _, d := range s.Deliveries() {
		if d.GUID == guid {
			s.redeliver(d)
			return nil
		}
	}
	return fmt.Errorf("there is no delivery %s", guid)
}

func (s *Server) redeliver(d Delivery) {
	s.hooks.put(&Delivery{
		GUID: d.GUID, Event: d.Event, Action: d.Action, Repository: d.Repository, Redelivery: true, Body: d.Body,
		installation: d.installation, repository: d.repository,
	})
}

// Ping sends the event that GitHub sends when an App's webhook is set up.
func (s *Server) Ping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ping()
}

// ping is called with mu held.
func (s *Server) ping() {
	s.queue(&Delivery{Event: "ping"}, object{
		"zen": "Keep it logically awesome.", "hook_id": s.app.ID,
		"hook": object{
			"type": "App", "id": s.app.ID, "name": "web", "active": true, "app_id": s.app.ID, "events": append([]string{}, s.app.Events...),
			"config": s.hooks.config(), "created_at": stamp(s.createdAt), "updated_at": stamp(s.createdAt),
			"deliveries_url": s.apiURL("app", "hook", "deliveries"),
		},
	})
}

// eventPermissions are what an App needs to hear of an event (docs.github.com, "Webhook events and payloads"). It hears of those of a
// repository itself with the permission that every App has.
var eventPermissions = map[string]string{
	"pull_request": "pull_requests:read", "push": "contents:read", "create": "contents:read", "delete": "contents:read", "issue_comment": "issues:read",
	"check_run": "checks:read", "deployment": "deployments:read", "deployment_status": "deployments:read", "repository": "metadata:read",
}

// emit queues an event about a repository, where the App is installed for it, subscribes to the event and may hear of it. Call it with mu held.
func (s *Server) emit(r *repository, sender *user, event, action string, payload object) {
	in := s.installationOf(r)
	if in == nil || in.suspended() || !slices.Contains(s.app.Events, event) {
		return
	}
	if name, level, _ := strings.Cut(eventPermissions[event], ":"); !covers(s.app.Permissions[name], level) {
		return
	}
	if action != "" {
		payload["action"] = action
	}
	if payload["repository"] == nil {
		payload["repository"] = s.repositoryObject(r)
	}
	payload["sender"] = s.userObject(sender)
	payload["installation"] = object{"id": in.id, "node_id": nodeID("Installation", in.id)}
	s.queue(&Delivery{Event: event, Action: action, Repository: r.fullName(), installation: in.id, repository: r.id}, payload)
}

func (s *Server) queue(d *Delivery, payload object) {
	body, err := json.Marshal(payload)
	if err != nil {
		s.log.Error("encode a webhook", "event", d.Event, "error", err)
		return
	}
	d.GUID, d.Body = newGUID(), body
	s.hooks.put(d)
}

// newGUID returns a random UUID (RFC 9562, version 4).
func newGUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
