package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"errors"
	"html/template"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"vitrine/deployments"
)

var (
	//go:embed lobby.html
	lobbyHTML string
	//go:embed lobby.css
	lobbyCSS string
)

// maxDetail is how many characters of a reason are shown.
const maxDetail = 300

// A lobby answers for hosts that no container answers for. It shows a status and a plain reason, and nothing that could be somebody's secret.
type lobby struct {
	states States
	domain string
	page   *template.Template
	policy string // the pages' Content-Security-Policy
	log    *slog.Logger
}

// A notice is what the lobby has to say.
type notice struct {
	Code    int // of HTTP
	Title   string
	Host    string // as it was asked for; empty to say nothing of it
	Detail  string
	Hint    string
	Refresh int // seconds after which a browser asks again, and anything else may; 0 for never
}

func newLobby(states States, domain string, log *slog.Logger) *lobby {
	sum := sha256.Sum256([]byte(lobbyCSS))
	return &lobby{
		states: states, domain: domain, log: log,
		page: template.Must(template.New("lobby").Parse(lobbyHTML)),
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	}
}

// serve answers for a host with what is known of its state.
func (l *lobby) serve(w http.ResponseWriter, r *http.Request, host string) {
	label, ok := l.label(host)
	if !ok {
		l.unknown(w, r)
		return
	}
	state, err := l.states.HostState(r.Context(), label)
	if err != nil && !errors.Is(err, deployments.ErrNotFound) {
		if !errors.Is(err, context.Canceled) {
			l.log.Error("the lobby could not read a host's state", "host", host, "error", err)
		}
		l.answer(w, r, notice{
			Code: http.StatusServiceUnavailable, Title: "This preview's state cannot be read right now", Host: host,
			Hint: "This page reloads by itself.", Refresh: 10,
		})
		return
	}
	n := noticeOf(state)
	if n.Code != http.StatusNotFound {
		n.Host = host
	}
	l.answer(w, r, n)
}

// label returns the single label that host has under the domain.
func (l *lobby) label(host string) (string, bool) {
	label, ok := strings.CutSuffix(host, "."+l.domain)
	return label, ok && label != "" && !strings.Contains(label, ".")
}

// noticeOf says a state in words. Whatever it does not know is unknown: nobody learns what exists.
func noticeOf(s deployments.HostState) notice {
	n := notice{Code: http.StatusServiceUnavailable, Detail: plain(s.Detail), Hint: "This page turns into the preview by itself."}
	switch s.Status {
	case deployments.HostBuilding:
		n.Title, n.Refresh = "This preview is being built", 2
	case deployments.HostWaiting:
		n.Title, n.Refresh = "This preview is waiting to be built", 5
	case deployments.HostReady:
		n.Title, n.Refresh = "This preview is about to open", 1
	case deployments.HostFailed:
		n.Title, n.Refresh = "This preview could not be built or started", 30
		n.Hint = "A new push to the branch tries again."
	case deployments.HostDown:
		n.Title, n.Refresh = "This preview does not answer at the moment", 3
	case deployments.HostExpired:
		n.Code, n.Title = http.StatusGone, "This preview was removed"
		n.Hint = ""
	default:
		n = notice{Code: http.StatusNotFound, Title: "There is nothing at this address"}
	}
	return n
}

// unknown answers for a host that there is nothing to say about.
func (l *lobby) unknown(w http.ResponseWriter, r *http.Request) {
	l.answer(w, r, noticeOf(deployments.HostState{}))
}

// unreachable answers for a preview that is up and does not answer.
func (l *lobby) unreachable(w http.ResponseWriter, r *http.Request, host string) {
	l.answer(w, r, notice{
		Code: http.StatusBadGateway, Title: "This preview does not answer", Host: host,
		Hint: "It may be restarting. Its logs say more.",
	})
}

// answer writes the notice: a page for a browser, one line of text for anything else.
func (l *lobby) answer(w http.ResponseWriter, r *http.Request, n notice) {
	w.Header().Set("Vary", "Accept")
	if n.Refresh > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(n.Refresh))
	}
	if !wantsHTML(r.Header) {
		line := n.Title
		if n.Detail != "" {
			line += ": " + n.Detail
		}
		l.line(w, n.Code, line)
		return
	}
	n.Host = plain(n.Host)
	var page bytes.Buffer
	if err := l.page.Execute(&page, struct {
		notice
		CSS template.CSS
	}{n, template.CSS(lobbyCSS)}); err != nil {
		l.log.Error("the lobby's page could not be made", "error", err)
		l.line(w, n.Code, n.Title)
		return
	}
	w.Header().Set("Content-Security-Policy", l.policy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	l.write(w, n.Code, "text/html; charset=utf-8", page.Bytes())
}

func (l *lobby) line(w http.ResponseWriter, code int, text string) {
	l.write(w, code, "text/plain; charset=utf-8", []byte(text+"\n"))
}

func (l *lobby) write(w http.ResponseWriter, code int, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex")
	w.WriteHeader(code)
	if _, err := w.Write(body); err != nil && !errors.Is(err, http.ErrBodyNotAllowed) {
		l.log.Debug("a visitor left the lobby", "error", err)
	}
}

// wantsHTML reports whether the Accept header names a page, as every browser's does (RFC 9110 §12.5.1).
func wantsHTML(h http.Header) bool {
	for _, accepted := range strings.Split(strings.Join(h.Values("Accept"), ","), ",") {
		kind, parameters, err := mime.ParseMediaType(accepted)
		if err != nil || (kind != "text/html" && kind != "application/xhtml+xml") {
			continue
		}
		if q, err := strconv.ParseFloat(parameters["q"], 64); parameters["q"] == "" || (err == nil && q > 0) {
			return true
		}
	}
	return false
}

// plain makes one line of readable characters, of a length for people: what is not graphic might reorder or hide the rest.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	runes := []rune(strings.Join(strings.Fields(s), " "))
	if len(runes) > maxDetail {
		return string(runes[:maxDetail]) + "..."
	}
	return string(runes)
}
