package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"

	"vitrine/cmd/internal/loopback"
)

// certificateBlock is the type of a PEM block that holds a certificate.
const certificateBlock = "CERTIFICATE"

// authorities returns the certificates of github-ca-file as PEM, and nothing else that the file may hold; nil where the setting is empty. The error names
// the file.
func (s *settings) authorities() ([]byte, error) {
	if s.GithubCAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(s.GithubCAFile)
	if err != nil {
		return nil, fmt.Errorf("read github-ca-file: %w", err)
	}
	certificates, err := certificatesIn(text)
	if err != nil {
		return nil, fmt.Errorf("github-ca-file: %s %w", s.GithubCAFile, err)
	}
	return certificates, nil
}

// certificatesIn returns the certificates of a PEM file. The error says what the file is or has, without its name.
func certificatesIn(text []byte) (certificates []byte, err error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New("is empty; it should hold the certificates of GitHub's certificate authorities, as PEM")
	}
	meant := bytes.Count(text, []byte("-----BEGIN "+certificateBlock+"-----"))
	blocks, found := 0, 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		blocks++
		if block.Type != certificateBlock {
			continue
		}
		found++
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("has a certificate that cannot be read, number %d: %w", found, err)
		}
		certificates = append(certificates, pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: block.Bytes})...)
	}
	switch {
	case found < meant:
		return nil, fmt.Errorf("has certificates that are cut off or damaged, %d of %d; copy it again", meant-found, meant)
	case blocks == 0:
		return nil, errors.New("is no PEM file: a certificate in one begins with -----BEGIN CERTIFICATE-----")
	case found == 0:
		return nil, errors.New("has no certificate: it should hold those of GitHub's certificate authorities, which begin with -----BEGIN CERTIFICATE-----")
	}
	return certificates, nil
}

// toGithub returns what carries requests to GitHub. It trusts the authorities of github-ca-file beside the system's.
func (s *settings) toGithub() (http.RoundTripper, error) {
	transport := loopback.Transport()
	further, err := s.authorities()
	if err != nil {
		return nil, err
	}
	if further != nil {
		trusted, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("read the system's certificate authorities: %w", err)
		}
		trusted.AppendCertsFromPEM(further)
		transport.TLSClientConfig = &tls.Config{RootCAs: trusted}
	}
	return &explainingTransport{transport}, nil
}

// An explainingTransport says how to mend it where GitHub's certificate is not trusted.
type explainingTransport struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (t *explainingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.Transport.RoundTrip(r)
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		err = fmt.Errorf("%w; if this is a GitHub Enterprise server, name the certificate authority that it uses with --github-ca-file", err)
	}
	return answer, err
}
