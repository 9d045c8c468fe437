package builder

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine/deployments"
)

// An authority is a certificate authority of a test's own.
type authority struct {
	pem  []byte
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return authority{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), cert, key}
}

// sign returns a certificate of this machine's.
func (a authority) sign(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "github"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	check(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serveTLS serves the origin over https, with a certificate of the authority.
func (o *origin) serveTLS(a authority) deployments.Remote {
	o.t.Helper()
	server := httptest.NewUnstartedServer(o.handler(func(*http.Request) bool { return true }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{a.sign(o.t)}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // whoever does not trust the certificate hangs up
	server.StartTLS()
	o.t.Cleanup(server.Close)
	return deployments.Remote{URL: server.URL + "/acme/shop.git"}
}

// Further authorities count, and those that the environment names go on counting, whichever of its variables does.
func TestFetchFromAServerWithAnAuthorityOfItsOwn(t *testing.T) {
	usual, further := newAuthority(t, "usual"), newAuthority(t, "further")
	o := newOrigin(t)
	sha := o.commit("refs/heads/main", map[string]string{"a": "1"})
	atUsual, atFurther := o.serveTLS(usual), o.serveTLS(further)
	file := filepath.Join(t.TempDir(), "usual.pem")
	check(t, os.WriteFile(file, []byte(strings.TrimSpace(string(usual.pem))), 0o600))
	fetch := func(t *testing.T, r deployments.Remote, authorities []byte) error {
		t.Helper()
		c, err := newBuilder(t, Config{Authorities: authorities}).Fetch(t.Context(), r, fromMain, shop(sha))
		if err != nil {
			return err
		}
		return c.Close()
	}
	for _, variable := range []string{"GIT_SSL_CAINFO", "SSL_CERT_FILE"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv("GIT_SSL_CAINFO", "")
			t.Setenv(variable, file)
			check(t, fetch(t, atUsual, further.pem))
			check(t, fetch(t, atFurther, further.pem))
		})
	}
	t.Run("GIT_SSL_CAINFO alone", func(t *testing.T) {
		t.Setenv("GIT_SSL_CAINFO", file)
		check(t, fetch(t, atUsual, nil))
	})
	t.Run("nobody's", func(t *testing.T) {
		for name, authorities := range map[string][]byte{"none": nil, "another": usual.pem} {
			err := fetch(t, atFurther, authorities)
			unavailable(t, err, waitsForGitHub)
			if !strings.Contains(err.Error(), "name the certificate authority that it uses with --github-ca-file") {
				t.Errorf("with %s: %v", name, err)
			}
		}
	})
}

// The system's authorities are in the file that git gets, and the file goes with the setting.
func TestAuthoritiesKeepTheSystems(t *testing.T) {
	for _, name := range []string{"GIT_SSL_CAINFO", "SSL_CERT_FILE"} {
		t.Setenv(name, "")
	}
	further, dir := newAuthority(t, "further"), t.TempDir()
	check(t, os.MkdirAll(mirrorsIn(dir), 0o700))
	check(t, writeAuthorities(dir, further.pem))
	text, err := os.ReadFile(authoritiesIn(dir))
	check(t, err)
	system, err := usualAuthorities()
	check(t, err)
	if !strings.HasPrefix(string(text), string(system)) || !strings.HasSuffix(string(text), string(further.pem)) {
		t.Errorf("of the system's %d bytes and %d further ones there are %d", len(system), len(further.pem), len(text))
	}
	for _, path := range systemAuthorities {
		if there, err := os.ReadFile(path); err == nil && len(system) == 0 {
			t.Errorf("the %d bytes of %s are not found", len(there), path)
		}
	}
	for range 2 {
		check(t, writeAuthorities(dir, nil))
		if left, err := os.ReadDir(mirrorsIn(dir)); err != nil || len(left) > 0 {
			t.Errorf("left are %v, %v", left, err)
		}
	}
}

// A file that the environment names and that is not there is said, not done without.
func TestAuthoritiesOfTheEnvironmentAreMissing(t *testing.T) {
	t.Setenv("GIT_SSL_CAINFO", filepath.Join(t.TempDir(), "none.pem"))
	dir := t.TempDir()
	check(t, os.MkdirAll(mirrorsIn(dir), 0o700))
	err := writeAuthorities(dir, newAuthority(t, "further").pem)
	if err == nil || !strings.Contains(err.Error(), "read GIT_SSL_CAINFO: open ") {
		t.Errorf("got %v", err)
	}
}
