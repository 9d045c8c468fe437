package builder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// authoritiesIn returns the file of the certificate authorities that git trusts where there are further ones.
func authoritiesIn(dataDir string) string {
	return filepath.Join(mirrorsIn(dataDir), "authorities.pem")
}

// systemAuthorities are the files in which systems keep the certificate authorities that they trust; the first one that is there counts (Go,
// crypto/x509/root_linux.go).
var systemAuthorities = [...]string{
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/pki/tls/cacert.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/cert.pem",
}

// writeAuthorities writes the file of authoritiesIn anew: git knows one file only, which stands instead of the system's (git-config, http.sslCAInfo), so
// that both kinds have to be in it. Without further authorities there is no file.
func writeAuthorities(dataDir string, further []byte) (err error) {
	path := authoritiesIn(dataDir)
	if len(further) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove git's certificate authorities: %w", err)
		}
		return nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write git's certificate authorities: %w", err)
		}
	}()
	known, err := usualAuthorities()
	if err != nil {
		return err
	}
	aside := path + ".new"
	if err := os.WriteFile(aside, bytes.Join([][]byte{known, further}, []byte("\n")), 0o600); err != nil {
		return err
	}
	return os.Rename(aside, path)
}

// usualAuthorities returns, as PEM, what is trusted without further authorities: what the environment names, else the system's, else none.
func usualAuthorities() ([]byte, error) {
	for _, name := range []string{"GIT_SSL_CAINFO", "SSL_CERT_FILE"} {
		path := os.Getenv(name)
		if path == "" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		return text, nil
	}
	for _, path := range systemAuthorities {
		text, err := os.ReadFile(path)
		if err == nil {
			return text, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the system's: %w", err)
		}
	}
	return nil, nil
}

// distrust is how git says that nobody it trusts signed a server's certificate: with GnuTLS, with OpenSSL, and with NSS.
var distrust = regexp.MustCompile(`(?i)certificate verification failed|SSL certificate problem|certificate verify failed|certificate issuer`)

// explained says how to mend it where git does not trust the remote's certificate.
func explained(err error) error {
	var e *gitError
	if errors.As(err, &e) && distrust.MatchString(remoteLine.ReplaceAllString(e.stderr, "")) {
		return fmt.Errorf("%w; if this is a GitHub Enterprise server, name the certificate authority that it uses with --github-ca-file", err)
	}
	return err
}
