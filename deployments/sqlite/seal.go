package sqlite

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// keyFile is the name of the file in the data folder that holds the key, in hexadecimal digits. A backup needs it beside the database.
const keyFile = "secrets.key"

// keySize is the key's length in bytes: AES-256.
const keySize = 32

// sealVersion is the first byte of what is sealed. JSON begins with another one.
const sealVersion = 1

// A seal encrypts what is secret before it is stored: AES-256 in Galois/Counter Mode with a random nonce of 96 bits (NIST SP 800-38D §8.2.2). What was sealed under
// one name does not open under another. It may be used side by side.
type seal struct{ aead cipher.AEAD }

// openSeal reads the key of the data folder, and makes one where there is none.
func openSeal(dir string) (*seal, error) {
	key, err := readKey(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use the key of %s: %w", dir, err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("use the key of %s: %w", dir, err)
	}
	return &seal{aead}, nil
}

func readKey(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of the secrets: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("%s is no key of %d hexadecimal digits; put the one back that was there, from a backup", file, 2*keySize)
	}
	return key, nil
}

// makeKey draws a key and brings it to the disk as a whole, for its owner's eyes alone.
func makeKey(file string) (key []byte, err error) {
	key = make([]byte, keySize)
	rand.Read(key)
	f, err := os.CreateTemp(filepath.Dir(file), keyFile+"-") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("make the key of the secrets: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make the key of the secrets: %w", err), os.Remove(f.Name()))
		}
	}()
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	return key, os.Rename(f.Name(), file)
}

// close encrypts. The name is where the value belongs: "variables/acme/shop/STRIPE_KEY".
func (s *seal) close(plain []byte, name string) []byte {
	return s.aead.Seal([]byte{sealVersion}, nil, plain, []byte(name))
}

// open decrypts what was closed under the same name. nil, and JSON from before there were seals, is returned as it is.
func (s *seal) open(sealed []byte, name string) ([]byte, error) {
	switch {
	case len(sealed) == 0 || sealed[0] == '{':
		return sealed, nil
	case sealed[0] != sealVersion:
		return nil, fmt.Errorf("decrypt %s: it has version %d, and this Vitrine reads version %d", name, sealed[0], sealVersion)
	}
	plain, err := s.aead.Open(nil, nil, sealed[1:], []byte(name))
	if err != nil {
		return nil, fmt.Errorf("decrypt %s: %w", name, err)
	}
	return plain, nil
}

// check holds the key against the one that the database was encrypted with, which is the first that it sees.
func (s *seal) check(ctx context.Context, t *tx, file string) error {
	const name = "store/key_check"
	sealed, err := one(ctx, t, value[[]byte], `SELECT key_check FROM store`)
	if err != nil {
		return fmt.Errorf("read which key %s has: %w", file, err)
	}
	if sealed == nil {
		return t.exec(ctx, `UPDATE store SET key_check = ?`, s.close([]byte("vitrine"), name))
	}
	if _, err := s.open(sealed, name); err != nil {
		return fmt.Errorf("database %s was encrypted with another key than %s beside it; put the right one back, from a backup", file, keyFile)
	}
	return nil
}

// planName and secretsName are where a deployment's columns belong.
func planName(id int64) string    { return fmt.Sprintf("deployments/%d/plan", id) }
func secretsName(id int64) string { return fmt.Sprintf("deployments/%d/secrets", id) }

// variableName is where a Variable belongs. Repositories are the same whatever the case of their letters.
func variableName(repo, name string) string {
	return "variables/" + strings.ToLower(repo) + "/" + name
}

func generatedName(environment int64, name string) string {
	return fmt.Sprintf("generated/%d/%s", environment, name)
}
