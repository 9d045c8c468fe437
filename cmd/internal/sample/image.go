package sample

import (
	"archive/tar"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"

	"vitrine/builder"
)

// ImportBinary makes an image of the name given that holds nothing but a binary, as /vitrine, so that nothing has to be pulled. The binary has to be
// static.
func ImportBinary(ctx context.Context, b *builder.Builder, path, name string) error {
	if err := checkStatic(path); err != nil {
		return err
	}
	binary, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the binary for the sample's image: %w", err)
	}
	defer binary.Close()
	info, err := binary.Stat()
	if err != nil {
		return err
	}
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(writeTar(writer, binary, info.Size())) }()
	defer reader.Close()
	return b.Import(ctx, name, reader)
}

func writeTar(to io.Writer, binary io.Reader, size int64) error {
	archive := tar.NewWriter(to)
	if err := archive.WriteHeader(&tar.Header{Name: "vitrine", Mode: 0o755, Size: size}); err != nil {
		return err
	}
	if _, err := io.Copy(archive, binary); err != nil {
		return err
	}
	return archive.Close()
}

// checkStatic reports what keeps a binary from running in an empty image.
func checkStatic(path string) error {
	file, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("this very binary is to run in containers, so it has to be one for Linux; run it on Linux: %w", err)
	}
	defer file.Close()
	for _, section := range file.Progs {
		if section.Type == elf.PT_INTERP {
			return fmt.Errorf("%s needs shared libraries, which an empty image does not have; build it with `make build`", path)
		}
	}
	return nil
}
