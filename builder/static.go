package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/distribution/reference"
	"github.com/docker/docker/client"

	"vitrine/deployments"
)

// staticFolder is where an image has the folder that it serves.
const staticFolder = "/site"

// A Program serves a folder over HTTP: its files as they are, and nothing else.
type Program struct {
	// Image is a name on the engine. No Dockerfile of a repository may name it.
	Image string
	// Command begins the command line. What follows is the address to listen on, ":8080", and the folder.
	Command []string
}

// serving has the recipe make an image of the server's own program and of the whole folder that is its context.
func (b *Builder) serving(ctx context.Context, r *recipe) error {
	if b.config.Program == nil {
		return errors.New("serve a folder: the builder was given no program for that")
	}
	program, err := b.config.Program(ctx)
	if client.IsErrConnectionFailed(err) {
		return away(ctx, waitsForEngine, fmt.Errorf("serve a folder: %w", err))
	}
	if err != nil {
		return away(ctx, waitsForProgram, fmt.Errorf("serve a folder: %w", err))
	}
	named, err := reference.ParseNormalizedNamed(program.Image)
	if err != nil {
		return fmt.Errorf("serve a folder: %w", err)
	}
	command, err := json.Marshal(append(program.Command[:len(program.Command):len(program.Command)], fmt.Sprintf(":%d", deployments.StaticPort), staticFolder))
	if err != nil {
		return fmt.Errorf("serve a folder: %w", err)
	}
	// Nobody: it only reads.
	r.dockerfile = fmt.Appendf(nil, "FROM %s\nCOPY . %s\nUSER 65534:65534\nCMD %s\n", program.Image, staticFolder, command)
	// This list goes before one that lies in the folder and is meant for something else.
	r.ignore = []byte("# nothing is left out\n")
	r.own = map[string]bool{reference.TagNameOnly(named).String(): true}
	return nil
}
