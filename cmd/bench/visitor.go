package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// askPause is the pause between two questions of a visitor: as exact as a result is, and seldom enough to leave the processor to the contestants.
const askPause = 2 * time.Millisecond

// A visitor asks a page over and over, on one connection while it lasts.
type visitor struct {
	url    string
	host   string // the Host header; empty for the URL's own
	client *http.Client
}

func newVisitor(url, host string) *visitor {
	return &visitor{url: url, host: host, client: &http.Client{
		Timeout:   2 * time.Second,
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 100 * time.Millisecond}).DialContext},
	}}
}

// sees asks until the page has the text, and returns when the head of that answer was there.
func (v *visitor) sees(ctx context.Context, text string) (time.Time, error) {
	defer v.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%s has had another answer for %s", v.url, patience))
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
func (v *visitor) ask(ctx context.Context) (body string, at time.Time, err error) {
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
