package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"vitrine/builder"
	"vitrine/cmd/internal/sample"
	"vitrine/deploy/firewall"
)

// programRemoval bounds the removal of the program's image.
const programRemoval = 10 * time.Second

// A program is this binary as an image on the engine, for what has to run in a container. The image is there from the first time that it is asked for until
// Close.
type program struct {
	builder *builder.Builder
	image   string

	mu       sync.Mutex
	imported bool
}

func newProgram(b *builder.Builder, instance string) *program {
	return &program{builder: b, image: "vitrine-program-" + instance + ":current"}
}

// get returns how to run it.
func (p *program) get(ctx context.Context) (firewall.Program, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := firewall.Program{Image: p.image, Command: []string{"/vitrine", "firewall"}}
	if p.imported {
		// Somebody may have cleared the engine of images that nothing uses.
		if there, err := p.builder.HasImported(ctx, p.image); there || err != nil {
			return found, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return found, fmt.Errorf("find this binary: %w", err)
	}
	// One of a killed process may be another version's.
	if err := p.builder.RemoveImported(ctx, p.image); err != nil {
		return found, err
	}
	// An import that is given up while the engine ends it would leave the image behind.
	if err := sample.ImportBinary(context.WithoutCancel(ctx), p.builder, self, p.image); err != nil {
		return found, err
	}
	p.imported = true
	return found, nil
}

// Close removes the image, if there is one.
func (p *program) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.imported {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), programRemoval)
	defer cancel()
	p.imported = false
	if err := p.builder.RemoveImported(ctx, p.image); err != nil {
		return fmt.Errorf("remove the program's image: %w", err)
	}
	return nil
}
