package builder

import (
	"context"
	"fmt"
	"io"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
)

// Import makes an image of a tar archive with the files of its root, under a name of the caller's, such as a base image that nothing could be
// pulled for. It belongs to no instance: whoever imports it removes it with RemoveImported.
func (b *Builder) Import(ctx context.Context, name string, archive io.Reader) error {
	answer, err := b.engine.ImageImport(ctx, image.ImportSource{Source: archive, SourceName: "-"}, name, image.ImportOptions{})
	if err != nil {
		return fmt.Errorf("import image %s: %w", name, err)
	}
	defer answer.Close()
	if _, err := io.Copy(io.Discard, answer); err != nil {
		return fmt.Errorf("import image %s: %w", name, err)
	}
	if _, err := b.engine.ImageInspect(ctx, name); err != nil {
		return fmt.Errorf("import image %s: %w", name, err)
	}
	return nil
}

// HasImported reports whether there is an image of the name.
func (b *Builder) HasImported(ctx context.Context, name string) (bool, error) {
	_, err := b.engine.ImageInspect(ctx, name)
	if cerrdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up image %s: %w", name, err)
	}
	return true, nil
}

// RemoveImported removes the name of an imported image. One that is not there is no error.
func (b *Builder) RemoveImported(ctx context.Context, name string) error {
	if _, err := b.engine.ImageRemove(ctx, name, image.RemoveOptions{}); err != nil && !cerrdefs.IsNotFound(err) {
		return fmt.Errorf("remove image %s: %w", name, err)
	}
	return nil
}
