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
const programRemoval = time.Minute

// programPath is where the image has it; see [sample.ImportBinary].
const programPath = "/vitrine"

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

// forFirewall returns how to run the firewall's part of it.
func (p *program) forFirewall(ctx context.Context) (firewall.Program, error) {
	return firewall.Program{Image: p.image, Command: []string{programPath, "firewall"}}, p.bring(ctx)
}

// forFolders returns how to serve a folder with it.
func (p *program) forFolders(ctx context.Context) (builder.Program, error) {
	return builder.Program{Image: p.image, Command: []string{programPath, "static"}}, p.bring(ctx)
}

// bring sees to it that the image is there.
func (p *program) bring(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.imported {
		// Somebody may have cleared the engine of images that nothing uses.
		if there, err := p.builder.HasImported(ctx, p.image); there || err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this binary: %w", err)
	}
	// One of a killed process may be another version's.
	if err := p.builder.RemoveImported(ctx, p.image); err != nil {
		return err
	}
	// An import that is given up while the engine ends it would leave the image behind.
	if err := sample.ImportBinary(context.WithoutCancel(ctx), p.builder, self, p.image); err != nil {
		return err
	}
	p.imported = true
	return nil
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
