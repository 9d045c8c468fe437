package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"vitrine/cmd/bench/report"
	"vitrine/proxyroutes/proxy"
)

const (
	proxyBound  = 0.9
	proxyRound  = 3 * time.Second
	connections = 64
	proxyTitle  = "proxied requests, 64 connections, 1 KiB answers"
	proxyWhat   = "requests a second through `vitrine serve` to a preview's container, against a process with httputil.ReverseProxy, that container as its fixed " +
		"target, the same transport and a pool of buffers"
)

// A front is a process that answers for the preview.
type front struct {
	name    string
	address string
	pid     int
}

// proxied measures the built-in proxy against the standard library's.
func proxied(ctx context.Context, o options) (rows []report.Row, err error) {
	w, previews, err := openPreviews(ctx, o, "ours")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	preview := previews[0]
	backend, err := w.Serve.Backend(ctx, preview.label)
	if err != nil {
		return nil, err
	}
	fixed, err := startFixed(ctx, backend)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, fixed.Close()) }()
	fronts := []front{{"Vitrine", w.Serve.Address, w.Serve.PID()}, {"httputil.ReverseProxy", fixed.address, fixed.process.Process.Pid}}
	rates, costs := make([]report.Distribution, len(fronts)), make([]report.Distribution, len(fronts))
	for round := range o.Rounds + 1 {
		for turn := range fronts {
			i := turn
			if round%2 == 1 {
				i = len(fronts) - 1 - turn
			}
			f := fronts[i]
			before, err := processorTime(f.pid)
			if err != nil {
				return nil, err
			}
			n, took, err := load(ctx, f.address, preview.host(), "/kib", proxyRound)
			if err != nil {
				return nil, fmt.Errorf("load %s: %w", f.name, err)
			}
			after, err := processorTime(f.pid)
			if err != nil {
				return nil, err
			}
			rate, cost := float64(n)/took.Seconds(), float64((after-before).Microseconds())/float64(n)
			w.Say("  round %2d  %-22s %6.0f requests/s", round, f.name, rate)
			if round > 0 {
				rates[i], costs[i] = append(rates[i], rate), append(costs[i], cost)
			}
		}
	}
	return []report.Row{proxyRow(fronts, rates, costs)}, nil
}

func proxyRow(fronts []front, rates, costs []report.Distribution) report.Row {
	ratio := rates[0].Median() / rates[1].Median()
	row := report.Row{
		Title: proxyTitle, What: proxyWhat,
		Result:  report.Figure(ratio) + " x",
		Bound:   fmt.Sprintf("at least %s x", report.Figure(proxyBound)),
		Verdict: report.Holds,
		Notes: []string{"The client, the proxy and the container share the machine. What a request costs the proxy's process in processor time, which the " +
			"others do not dilute, stands beside."},
	}
	for i, f := range fronts {
		row.Lines = append(row.Lines, report.Line{Name: f.name, Unit: "requests/s", Values: rates[i]})
	}
	for i, f := range fronts {
		row.Lines = append(row.Lines, report.Line{Name: f.name, Unit: "us of processor time a request", Values: costs[i]})
	}
	if !(ratio >= proxyBound) {
		row.Verdict = fmt.Sprintf("does not hold: a request takes %s us of processor time, %s us more",
			report.Figure(costs[0].Median()), report.Figure(costs[0].Median()-costs[1].Median()))
	}
	return row
}

// A fixed is the other contestant, this binary in a process of its own.
type fixed struct {
	process *exec.Cmd
	address string
}

func startFixed(ctx context.Context, target string) (*fixed, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f := &fixed{process: exec.Command(self, "fixed-proxy", target)}
	f.process.Stderr = os.Stderr
	f.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := f.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := f.process.Start(); err != nil {
		return nil, fmt.Errorf("start the fixed proxy: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = out.Close() })()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the fixed proxy does not say where it listens: %w", err), f.Close())
	}
	f.address = strings.TrimSpace(line)
	return f, nil
}

// Close ends the process.
func (f *fixed) Close() error {
	if err := f.process.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the fixed proxy: %w", err)
	}
	return f.process.Wait()
}

// fixedCommand is what that process runs.
type fixedCommand struct {
	Target string `arg:"" help:"URL that every request goes to."`
}

// Run prints where it listens, and serves until ctx is done.
func (c *fixedCommand) Run(ctx context.Context, to console) error {
	target, err := url.Parse(c.Target)
	if err != nil {
		return err
	}
	transport := proxy.NewTransport()
	defer transport.CloseIdleConnections()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: &httputil.ReverseProxy{
		Transport:  transport,
		BufferPool: &buffers{},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
	}}
	fmt.Fprintln(to.out, listener.Addr())
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// buffers is an httputil.BufferPool like the built-in proxy's.
type buffers struct{ pool sync.Pool }

// Get returns a buffer.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[32 << 10]byte); ok {
		return p[:]
	}
	return make([]byte, 32<<10)
}

// Put takes back what Get returned.
func (b *buffers) Put(p []byte) { b.pool.Put((*[32 << 10]byte)(p)) }
