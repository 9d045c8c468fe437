package proxyroutes_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// A relay stands between records and a Redis, and can cut them off or hold the answers back.
type relay struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu      sync.Mutex
	away    bool
	release chan struct{} // closed while answers pass
	conns   map[net.Conn]bool
}

// startRelay starts one before the Redis of a URL and returns the URL that leads through it.
func startRelay(t *testing.T, redisURL string) (*relay, string) {
	t.Helper()
	u, err := url.Parse(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: listener, target: u.Host, release: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(r.release)
	r.running.Go(r.accept)
	t.Cleanup(func() {
		listener.Close()
		r.cut()
		r.pass()
		r.running.Wait()
	})
	u.Host = listener.Addr().String()
	return r, u.String()
}

func (r *relay) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.serve(c) })
	}
}

func (r *relay) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	defer server.Close()
	r.mu.Lock()
	if r.away {
		r.mu.Unlock()
		return
	}
	r.conns[client], r.conns[server] = true, true
	r.mu.Unlock()
	var requests sync.WaitGroup
	requests.Go(func() {
		io.Copy(server, client)
		server.Close()
	})
	io.Copy(gate{r, client}, server)
	client.Close()
	requests.Wait()
	r.mu.Lock()
	delete(r.conns, client)
	delete(r.conns, server)
	r.mu.Unlock()
}

// A gate writes once answers pass.
type gate struct {
	relay *relay
	io.Writer
}

func (g gate) Write(p []byte) (int, error) {
	g.relay.mu.Lock()
	release := g.relay.release
	g.relay.mu.Unlock()
	<-release
	return g.Writer.Write(p)
}

// cut ends all connections and refuses new ones.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = true
	for c := range r.conns {
		c.Close()
	}
}

// hold keeps the answers back: connections are taken, and nothing is heard.
func (r *relay) hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.release:
		r.release = make(chan struct{})
	default:
	}
}

// mend lets everything through again; what was held back comes late.
func (r *relay) mend() {
	r.mu.Lock()
	r.away = false
	r.mu.Unlock()
	r.pass()
}

func (r *relay) pass() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.release:
	default:
		close(r.release)
	}
}
