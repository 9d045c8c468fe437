package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"vitrine/bot"
	"vitrine/bot/githubsim"
)

// testSecret signs the webhooks.
const testSecret = "a webhook secret"

// noEngine returns the address of an engine that is not there.
func noEngine(t *testing.T) string { return "unix://" + filepath.Join(t.TempDir(), "none.sock") }

// keyPEM is an App's private key, made once for all tests.
var keyPEM = sync.OnceValues(func() (string, error) {
	key, err := githubsim.GenerateKey()
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})), nil
})

// serveArgs returns a command line of serve with everything that it needs but an engine. More flags override these.
func serveArgs(t *testing.T, more ...string) []string {
	t.Helper()
	key, err := keyPEM()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{
		"serve", "--listen=127.0.0.1:0", "--registry-listen=127.0.0.1:0", "--data=" + filepath.Join(t.TempDir(), "data"), "--docker-host=" + noEngine(t),
		"--github-app-id=1", "--github-webhook-secret=" + testSecret, "--github-private-key-file=" + writeFile(t, "app.pem", key),
		"--github-url=http://127.0.0.1:1", "--github-api-url=http://127.0.0.1:1/",
	}, more...)
}

// A transcript is what a command printed so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *transcript) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A serving is a serve within this process.
type serving struct {
	address string // that it listens on
	log     *transcript
	cancel  context.CancelFunc
	ended   chan int
}

var servingAt = regexp.MustCompile(`msg=serving .* listen=(\S+)`)

// serveHere starts serve and waits until it says where it listens.
func serveHere(t *testing.T, args []string) *serving {
	t.Helper()
	s := &serving{log: &transcript{}, ended: make(chan int, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() { s.ended <- run(ctx, args, io.Discard, s.log) }()
	t.Cleanup(func() {
		if s.stop() != exitOK {
			t.Errorf("serve did not end as it should:\n%s", s.log)
		}
	})
	eventually(t, "serve says where it listens", func() bool {
		if len(s.ended) > 0 {
			t.Fatalf("serve ended:\n%s", s.log)
		}
		found := servingAt.FindStringSubmatch(s.log.String())
		if found != nil {
			s.address = found[1]
		}
		return found != nil
	})
	return s
}

// stop ends serve as a signal does, and returns its exit code, also when called again.
func (s *serving) stop() int {
	s.cancel()
	code := <-s.ended
	s.ended <- code
	return code
}

// ask sends a request to a host, whatever its name leads to, and returns the answer.
func (s *serving) ask(t *testing.T, method, host, path string, body io.Reader, header map[string]string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+s.address+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	for name, value := range header {
		request.Header.Set(name, value)
	}
	// A refused body is not sent at all: its sender might miss the answer over it.
	request.Header.Set("Expect", "100-continue")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: patience}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

func sign(body, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Without an engine serve runs on and warns, webhooks get their answers, and the two kinds of host are told apart.
func TestServeWithoutAnEngine(t *testing.T) {
	s := serveHere(t, serveArgs(t))
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"level=WARN", "previews wait for the engine", "no Docker engine answers at unix://", "--docker-host"} {
		if !strings.Contains(s.log.String(), text) {
			t.Errorf("the log does not say %q:\n%s", text, s.log)
		}
	}
	control, preview := "preview.localhost:"+port, "shop-pr-1.preview.localhost:"+port
	large := strings.Repeat(" ", 25<<20+1)
	tests := []struct {
		name, method, host, path, body string
		header                         map[string]string // beside the event's
		status                         int
		text                           string
	}{
		{"no signature", "POST", control, bot.WebhookPath, "{}", nil, 401, "the X-Hub-Signature-256 header is missing; set a secret for the App's webhook"},
		{"wrong signature", "POST", control, bot.WebhookPath, "{}", map[string]string{"X-Hub-Signature-256": sign("{}", "a guess")}, 401, "the signature does not fit the body"},
		{"a body too large", "POST", control, bot.WebhookPath, large, map[string]string{"X-Hub-Signature-256": sign(large, testSecret)}, 413, "the body is larger than 25 MiB"},
		{"not JSON", "POST", control, bot.WebhookPath, "payload=%7B%7D", map[string]string{"X-Hub-Signature-256": sign("payload=%7B%7D", testSecret)}, 400, "the body is not JSON; set the webhook's content type to application/json"},
		{"an unknown event", "POST", control, bot.WebhookPath, "{}", map[string]string{"X-GitHub-Event": "milestone", "X-Hub-Signature-256": sign("{}", testSecret)}, 202, "nothing to do for milestone"},
		{"by address", "POST", s.address, bot.WebhookPath, "{}", map[string]string{"X-GitHub-Event": "ping", "X-Hub-Signature-256": sign("{}", testSecret)}, 202, "nothing to do for ping"},
		{"GET", "GET", control, bot.WebhookPath, "", nil, 405, "webhooks are sent with POST"},
		{"health", "GET", control, "/healthz", "", nil, 200, "ok"},
		{"no page of the control plane", "GET", control, "/nothing", "", nil, 404, "404 page not found"},
		{"an unknown preview", "GET", preview, "/", "", nil, 404, "There is nothing at this address"},
		{"health of a preview", "GET", preview, "/healthz", "", nil, 404, "There is nothing at this address"},
		{"a webhook at a preview", "POST", preview, bot.WebhookPath, "{}", map[string]string{"X-Hub-Signature-256": sign("{}", testSecret)}, 404, "There is nothing at this address"},
		{"another's host", "GET", "example.test", "/healthz", "", nil, 404, "There is nothing at this address"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			header := map[string]string{"X-GitHub-Event": "pull_request", "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}
			for name, value := range test.header {
				header[name] = value
			}
			status, text := s.ask(t, test.method, test.host, test.path, strings.NewReader(test.body), header)
			if status != test.status || !strings.Contains(text, test.text) {
				t.Errorf("%d %q, want %d with %q", status, text, test.status, test.text)
			}
		})
	}
	if code := s.stop(); code != exitOK {
		t.Errorf("serve exits with %d:\n%s", code, s.log)
	}
}

func TestServeRefusesToStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := writeFile(t, "file", "")
	for name, test := range map[string]struct {
		args  []string
		texts []string
	}{
		"a taken port":             {[]string{"--listen", taken.Addr().String()}, []string{"listen on " + taken.Addr().String(), "address already in use", "--listen"}},
		"a taken registry port":    {[]string{"--registry-listen", taken.Addr().String()}, []string{taken.Addr().String(), "address already in use"}},
		"a folder below a file":    {[]string{"--data", filepath.Join(file, "data")}, []string{file, "not a directory"}},
		"a folder that is a file":  {[]string{"--data", file}, []string{file}},
		"a Redis without a place":  {[]string{"--redis-url", "redis://:secret@127.0.0.1:port"}, []string{"Redis URL cannot be read", "redis://"}},
		"a bucket without a place": {[]string{"--registry-s3-bucket", "previews"}, []string{"bucket previews has no region", "registry-s3-region"}},
		"a key without its secret": {
			[]string{"--registry-s3-bucket", "b", "--registry-s3-endpoint", "http://127.0.0.1:1", "--registry-s3-access-key", "k"},
			[]string{"one key without the other", "registry-s3-secret-key"},
		},
		"no engine's address": {[]string{"--docker-host", "nonsense"}, []string{"nonsense"}},
	} {
		t.Run(name, func(t *testing.T) { command(t, serveArgs(t, test.args...)...).says(t, exitFailed, test.texts...) })
	}
}

// Neighbours that are away when it starts are waited out, and meanwhile it takes webhooks.
func TestServeStartsAlone(t *testing.T) {
	away := "127.0.0.1:1"
	s := serveHere(t, serveArgs(t, "--docker-host", noEngine(t), "--redis-url", "redis://"+away, "--registry-s3-bucket", "previews",
		"--registry-s3-endpoint", "http://"+away, "--registry-s3-access-key", "key", "--registry-s3-secret-key", "secret"))
	if status, _ := s.ask(t, "GET", s.address, "/healthz", nil, nil); status != http.StatusOK {
		t.Errorf("it answers %d", status)
	}
	if code := s.stop(); code != exitOK {
		t.Errorf("serve exits with %d:\n%s", code, s.log)
	}
	for _, text := range []string{"previews wait for the engine", "Redis", "registry storage is away"} {
		if !strings.Contains(s.log.String(), text) {
			t.Errorf("the log does not say %q:\n%s", text, s.log)
		}
	}
}

// One data folder serves one process at a time, and the other is told which.
func TestDataFolderInUse(t *testing.T) {
	data := "--data=" + filepath.Join(t.TempDir(), "data")
	first := serveHere(t, serveArgs(t, data))
	command(t, serveArgs(t, data)...).says(t, exitFailed, "in use by another Vitrine", fmt.Sprintf("(process %d)", os.Getpid()), "--data")
	if status, _ := first.ask(t, "GET", first.address, "/healthz", nil, nil); status != http.StatusOK {
		t.Errorf("the first one answers %d", status)
	}
	first.stop()
	serveHere(t, serveArgs(t, data))
}

func TestDoctorWithoutAnEngine(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	o := command(t, "doctor", "--docker-host", noEngine(t), "--data", data)
	o.says(t, exitFailed, "of the checks above went wrong")
	for _, text := range []string{
		"engine     wrong: no Docker engine answers at unix://", "start it, or name another with --docker-host",
		"github     wrong: no GitHub App is configured: `vitrine serve` says where to register one",
	} {
		if !strings.Contains(o.out, text) {
			t.Errorf("the doctor does not say %q:\n%s", text, o.out)
		}
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("the doctor made the data folder")
	}
}
