package world

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// askPause is the pause between two questions of a visitor, whoever is asked. Each is answered by the services of the version before while the new one
// is made: at 2 ms they took as much of two processors as a contestant did. Half of it is added to every result on average.
const askPause = 10 * time.Millisecond

// A Visitor asks for a page over and over, on one connection while it lasts.
type Visitor struct {
	url    string
	host   string // the Host header; empty for the URL's own
	client *http.Client
}

// NewVisitor returns one that asks for the URL. host is the Host header, or empty for the URL's own.
func NewVisitor(url, host string) *Visitor {
	return &Visitor{url: url, host: host, client: &http.Client{
		Timeout:   2 * time.Second,
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 100 * time.Millisecond}).DialContext},
	}}
}

// Sees asks until the page has the text, and returns when the head of that answer was there. After Patience it gives up.
func (v *Visitor) Sees(ctx context.Context, text string) (time.Time, error) {
	defer v.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeoutCause(ctx, Patience, fmt.Errorf("%s has had another answer for %s", v.url, Patience))
	defer cancel()
	pause := time.NewTicker(askPause)
	defer pause.Stop()
	for {
		body, at, err := v.ask(ctx)
		if err == nil && strings.Contains(body, text) {
			return at, nil
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		}
	}
}

// ask asks once and returns the page and when its head was there.
func (v *Visitor) ask(ctx context.Context) (body string, at time.Time, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, v.url, nil)
	if err != nil {
		return "", at, err
	}
	request.Host = v.host
	response, err := v.client.Do(request)
	if err != nil {
		return "", at, err
	}
	defer response.Body.Close()
	at = time.Now()
	all, err := io.ReadAll(response.Body)
	return string(all), at, err
}
