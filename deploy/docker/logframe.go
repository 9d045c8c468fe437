package docker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/pkg/stdcopy"

	"vitrine/deployments"
)

const (
	// longestLine bounds what is kept of a line, in bytes.
	longestLine = 16 << 10
	// longestFrame is far above what an engine sends at once: it cuts what is printed into pieces of 16 KiB.
	longestFrame = 1 << 20
	frameHeader  = 8
)

// A line is what a container printed up to a line break, or up to its end.
type line struct {
	at   time.Time // when its first piece was printed
	last time.Time // when its last piece was
	err  bool      // to the standard error
	text string    // as printed, but for what is masked, without the line break, cut to longestLine
	more int       // bytes that were cut off
	in   io.WriteCloser

	pieces int // in which the engine keeps it
}

// newLine returns one without text. What is added is masked before it is cut, so that no cut leaves the half of a secret.
func newLine(at time.Time, err bool, m *deployments.Mask) *line {
	l := &line{at: at, err: err}
	l.in = m.Writer(l)
	return l
}

// Write adds text that was masked.
func (l *line) Write(p []byte) (int, error) {
	room := min(longestLine-len(l.text), len(p))
	l.text += string(p[:room])
	l.more += len(p) - room
	return len(p), nil
}

// readLines hands on the lines of a stream of an engine's logs, whose pieces begin each with a time, as they are complete. The engine's pieces are
// lines, or parts of long ones: only the last has the line break (moby daemon/logger/copier.go). Each line is masked by what mask returns as it begins. It
// returns the first error of the stream or of emit, nil at the stream's end.
func readLines(stream io.Reader, mask func() *deployments.Mask, emit func(line) error) error {
	in := bufio.NewReader(stream)
	var open [2]*line // by the standard stream: output, error
	for {
		kind, piece, err := readFrame(in)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(err, flush(open, emit))
		}
		at, text, err := splitTime(piece)
		if err != nil {
			return err
		}
		i := 0
		if kind == stdcopy.Stderr {
			i = 1
		}
		if open[i] == nil {
			open[i] = newLine(at, i == 1, mask())
		}
		text, complete := bytes.CutSuffix(text, []byte("\n"))
		l := open[i]
		l.last = at
		l.pieces++
		if _, err := l.in.Write(text); err != nil {
			return err
		}
		if !complete {
			continue
		}
		open[i] = nil
		if err := l.end(emit); err != nil {
			return err
		}
	}
}

// flush hands on what the stream ended in the middle of.
func flush(open [2]*line, emit func(line) error) error {
	for _, l := range open {
		if l == nil {
			continue
		}
		if err := l.end(emit); err != nil {
			return err
		}
	}
	return nil
}

// end hands on the line, to which nothing is added any more.
func (l *line) end(emit func(line) error) error {
	if err := l.in.Close(); err != nil {
		return err
	}
	return emit(*l)
}

// clean returns the line's text for people and files: valid UTF-8 without what moves cursors or colours terminals. Breaks inside of it become spaces.
func (l line) clean() string {
	text := escapes.ReplaceAllString(strings.ToValidUTF8(l.text, "?"), "")
	// What a carriage return would have been overwritten by is what was meant to be read.
	text = strings.TrimRight(text, "\r")
	text = text[strings.LastIndexByte(text, '\r')+1:]
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\u2028', r == '\u2029':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return -1
		}
		return r
	}, text)
	if l.more > 0 {
		text += fmt.Sprintf("... (%d bytes more)", l.more)
	}
	return text
}

// readFrame reads one frame: a byte that names the stream, three zeros, the length in four bytes, big-endian, and as many bytes (Engine API, "Attach to
// a container", stream format). io.EOF is the end between two frames.
func readFrame(in io.Reader) (kind stdcopy.StdType, content []byte, err error) {
	var header [frameHeader]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return 0, nil, err
	}
	kind = stdcopy.StdType(header[0])
	size := binary.BigEndian.Uint32(header[4:])
	if kind > stdcopy.Systemerr || size > longestFrame {
		return 0, nil, fmt.Errorf("the engine's logs have a frame of stream %d with %d bytes", kind, size)
	}
	content = make([]byte, size)
	if _, err := io.ReadFull(in, content); err != nil {
		return 0, nil, errors.Join(io.ErrUnexpectedEOF, err)
	}
	if kind == stdcopy.Systemerr {
		return 0, nil, fmt.Errorf("read the engine's logs: %s", bytes.TrimSpace(content))
	}
	return kind, content, nil
}

// splitTime takes the time from the beginning of a piece.
func splitTime(piece []byte) (at time.Time, text []byte, err error) {
	stamp, text, found := bytes.Cut(piece, []byte(" "))
	if !found {
		return at, nil, errors.New("the engine's logs have a line without a time")
	}
	at, err = time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return at, nil, fmt.Errorf("read the time of a line of the engine's logs: %w", err)
	}
	return at, text, nil
}
