package compose

import (
	"fmt"
	"io"

	"github.com/compose-spec/compose-go/v2/dotenv"

	"vitrine/deploy/compose/internal/document"
)

// ReadEnvFile reads a .env file as compose does: quotes, `export`, comments, and ${...} of names that stand above it. Nothing of this process's
// environment counts.
func ReadEnvFile(r io.Reader) (values map[string]string, err error) {
	err = document.Guarded(func() (err error) {
		values, err = dotenv.ParseWithLookup(r, func(string) (string, bool) { return "", false })
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the .env file: %w", err)
	}
	return values, nil
}
