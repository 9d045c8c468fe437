package main

import (
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine/bot/githubsim"
	"vitrine/bot/githubsim/conformance"
	"vitrine/cmd/internal/sample"
	"vitrine/deployments"
)

// An enterprise is a simulated GitHub behind TLS, with a certificate that no system trusts.
type enterprise struct {
	*testing.T
	*githubsim.Server
	web  string
	file string // of the certificate's authority
}

func newEnterprise(t *testing.T) *enterprise {
	t.Helper()
	var handler http.Handler
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // whoever does not trust the certificate hangs up
	server.StartTLS()
	t.Cleanup(server.Close)
	e := &enterprise{T: t, web: server.URL, file: writeFile(t, "authority.pem", string(certificate(server.Certificate().Raw)))}
	github, err := sample.NewGithub(e.web, t.TempDir(), "", "secret")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { github.Close() })
	e.Server, handler = github, conformance.Conform(t, github)
	if err := sample.Cast(t.Context(), github, "none"); err != nil {
		t.Fatal(err)
	}
	return e
}

// args returns the arguments of a serve, or of a doctor, at this GitHub.
func (e *enterprise) args(command string, more ...string) []string {
	e.Helper()
	args := serveArgs(e.T, append([]string{
		"--github-url=" + e.web, "--github-api-url=" + e.web + "/api/v3/", "--firewall=off",
		"--github-private-key-file=" + writeFile(e.T, "app.pem", string(e.PrivateKeyPEM())),
	}, more...)...)
	args[0] = command
	return args
}

func certificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der})
}

// needsAuthority is what is said where GitHub's certificate is not trusted.
const needsAuthority = "name the certificate authority that it uses with --github-ca-file"

func TestAuthoritiesFile(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	good := string(certificate(server.Certificate().Raw))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("hello")}))
	for name, test := range map[string]struct{ text, wrong string }{
		"empty":              {"", " is empty"},
		"nothing but space":  {" \n\n", " is empty"},
		"no PEM":             {"hello\n", " is no PEM file: a certificate in one begins with"},
		"a binary one":       {string(server.Certificate().Raw), " is no PEM file"},
		"a key":              {key, " has no certificate: it should hold"},
		"no certificate":     {good + string(certificate([]byte("hello"))), " has a certificate that cannot be read, number 2: x509"},
		"one that is cut":    {good + good[:len(good)/2], " has certificates that are cut off or damaged, 1 of 2"},
		"nothing but a half": {good[:len(good)/2], " has certificates that are cut off or damaged, 1 of 1"},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, "authorities.pem", test.text)
			command(t, serveArgs(t, "--github-ca-file", path)...).says(t, exitUsage, "github-ca-file: "+path+test.wrong)
		})
	}
	t.Run("not there", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "none.pem")
		command(t, serveArgs(t, "--config", writeFile(t, "vitrine.yml", "github-ca-file: "+path+"\n"))...).says(t, exitUsage, "read github-ca-file: open "+path+": no such file")
		t.Setenv("VITRINE_GITHUB_CA_FILE", path)
		command(t, "doctor").says(t, exitUsage, "read github-ca-file: open "+path+": no such file")
	})
	t.Run("more than certificates", func(t *testing.T) {
		s := settings{GithubCAFile: writeFile(t, "authorities.pem", "# ours\n"+good+key+good)}
		if got, err := s.authorities(); err != nil || string(got) != good+good {
			t.Errorf("got %s, %v", got, err)
		}
	})
}

// With its authority's file a GitHub Enterprise server is asked over REST, and without it the doctor says what is missing.
func TestRESTWithAnAuthorityOfItsOwn(t *testing.T) {
	e := newEnterprise(t)
	if o := command(t, e.args("doctor")...); !strings.Contains(o.out, "github     wrong: ") || !strings.Contains(o.out, "certificate signed by unknown authority") || !strings.Contains(o.out, needsAuthority) {
		t.Errorf("without the file the doctor says:\n%s%s", o.out, o.err)
	}
	if o := command(t, e.args("doctor", "--github-ca-file="+e.file)...); !strings.Contains(o.out, "github     is vitrine[bot] at "+e.web) {
		t.Errorf("with the file the doctor says:\n%s%s", o.out, o.err)
	}
}

// A server takes the file over for git as it does for REST, where it needs a token first.
func TestFetchWithAnAuthorityOfItsOwn(t *testing.T) {
	e := newEnterprise(t)
	sha, err := e.Commit(t.Context(), githubsim.Change{Repository: sample.Repository, Branch: "feature", Author: sample.Developer, Files: map[string]string{"a": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	fetch := func(file string) error {
		s := settings{
			Domain: "preview.localhost", Data: filepath.Join(t.TempDir(), "data"), DockerHost: noEngine(t), RegistryListen: "127.0.0.1:0", GithubURL: e.web,
			GithubAPIURL: e.web + "/api/v3/", GithubCAFile: file, GithubAppID: sample.App, GithubWebhookSecret: "secret", TTL: 1, TTLMax: 1, Builds: 1, Firewall: "off",
			GithubPrivateKeyFile: writeFile(t, "app.pem", string(e.PrivateKeyPEM())),
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		srv, err := openServer(t.Context(), s, listener, e.PrivateKeyPEM(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		origin := deployments.Origin{Repo: sample.Repository, Branch: "feature"}
		remote := deployments.Remote{URL: e.web + "/" + sample.Repository + ".git"} // without a token, which is not asked for before TLS is there
		if file != "" {
			forge, err := (&doctorCommand{settings: s}).openForge()
			if err != nil {
				t.Fatal(err)
			}
			if remote, err = forge.Remote(t.Context(), sample.Repository); err != nil {
				t.Fatal(err)
			}
		}
		checkout, err := srv.builder.Fetch(t.Context(), remote, origin, deployments.Source{Repo: sample.Repository, Branch: "feature", SHA: sha})
		if err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(checkout.Dir, "a"))
		if err != nil || string(text) != "1" {
			t.Errorf("fetched is %q, %v", text, err)
		}
		return checkout.Close()
	}
	if err := fetch(e.file); err != nil {
		t.Errorf("with the file: %v", err)
	}
	if err := fetch(""); err == nil || !strings.Contains(err.Error(), needsAuthority) {
		t.Errorf("without the file: %v", err)
	}
}

// The set-up exchanges its code with such a server, too.
func TestSetUpWithAnAuthorityOfItsOwn(t *testing.T) {
	for name, trusted := range map[string]bool{"with the file": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			forge := newForgeOfCodes(t)
			front := httptest.NewUnstartedServer(forge.Config.Handler)
			front.Config.ErrorLog = log.New(io.Discard, "", 0)
			front.StartTLS()
			t.Cleanup(front.Close)
			s := &settings{
				Domain: "preview.localhost", Data: filepath.Join(t.TempDir(), "data"), GithubURL: front.URL, GithubAPIURL: front.URL + "/api/v3/",
			}
			if trusted {
				s.GithubCAFile = writeFile(t, "authority.pem", string(certificate(front.Certificate().Raw)))
			}
			u := startSettingUpWith(t, s)
			state, _ := u.state("Vitrine X")
			forge.codes <- "abc"
			status, page := u.get(strings.SplitN(u.address, "?", 2)[0] + "?" + url.Values{"code": {"abc"}, "state": {state}}.Encode())
			if trusted && status != http.StatusOK || !trusted && (status != http.StatusBadGateway || !strings.Contains(page, needsAuthority)) {
				t.Errorf("the code is answered %d:\n%s", status, page)
			}
		})
	}
}
