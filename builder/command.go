package builder

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/util/bklog"
	"github.com/sirupsen/logrus"
)

// RunCommand runs a command as a build's RUN step does, in an image that lies on the engine, and returns what it printed to its standard output. Nothing of
// it is cached and no image comes of it. Its command and image are the server's own: no guard looks at them.
func (b *Builder) RunCommand(ctx context.Context, image string, command []string) (stdout []byte, err error) {
	step := llb.Image(image, llb.ResolveModePreferLocal).Run(llb.Args(command), llb.IgnoreCache).Root()
	definition, err := step.Marshal(ctx)
	if err != nil {
		return nil, fmt.Errorf("describe the build of %s: %w", strings.Join(command, " "), err)
	}
	ctx = bklog.WithLogger(ctx, logrus.NewEntry(quiet()))
	c, err := b.buildkit(ctx)
	if err != nil {
		return nil, away(ctx, waitsForEngine, err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()

	var out bytes.Buffer
	status := make(chan *client.SolveStatus)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		for report := range status {
			for _, l := range report.Logs {
				if l.Stream == 1 {
					out.Write(l.Data)
				}
			}
		}
	}()
	_, err = c.Solve(ctx, definition, client.SolveOpt{}, status)
	<-followed
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("run %s in a build: %w", strings.Join(command, " "), err)
	}
	return out.Bytes(), nil
}
