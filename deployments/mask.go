package deployments

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// minSecret is the least length of what is masked, in bytes. Shorter values, such as "1", "true" or "debug", are words that stand everywhere.
	minSecret = 6
	// window is how many bytes in a row of a longer secret are enough to be masked, so that one that was cut off is not shown in part.
	window = 16
	// masked stands for what is not shown.
	masked = "***"
)

// A Mask hides secret values in what people are shown. It knows them as they are, each of their lines, and as they look in quotes, in JSON, in an URL and in
// base64. A nil Mask hides nothing. It may be used side by side.
type Mask struct {
	whole   []string // shorter than a window
	windows map[[window]byte]struct{}
	heads   []string // what is not masked by itself: how they begin
	tails   []string // and how they end
}

// NewMask returns a Mask of the secrets, nil where there is nothing to hide. Those with less than six bytes, and such lines of longer ones, are shown.
func NewMask(secrets []string) *Mask {
	m := &Mask{windows: make(map[[window]byte]struct{})}
	for _, secret := range secrets {
		for _, form := range forms(secret) {
			m.add(form)
		}
	}
	if len(m.whole) == 0 && len(m.windows) == 0 {
		return nil
	}
	return m
}

// forms returns how a secret may look within a line.
func forms(secret string) []string {
	all := []string{base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte(secret))}
	quoted := []string{strconv.Quote(secret), url.QueryEscape(secret), url.PathEscape(secret)}
	if encoded, err := json.Marshal(secret); err == nil {
		quoted = append(quoted, string(encoded))
	}
	for _, q := range quoted {
		all = append(all, strings.Trim(q, `"`))
	}
	for line := range strings.Lines(secret) {
		all = append(all, strings.TrimSpace(line))
	}
	return slices.DeleteFunc(all, func(form string) bool { return len(secret) < minSecret || len(form) < minSecret })
}

func (m *Mask) add(form string) {
	part := min(len(form), window) - 1
	m.heads, m.tails = append(m.heads, form[:part]), append(m.tails, form[len(form)-part:])
	switch {
	case len(form) >= window:
		for i := range len(form) - window + 1 {
			m.windows[[window]byte([]byte(form[i:]))] = struct{}{}
		}
	case !slices.Contains(m.whole, form):
		m.whole = append(m.whole, form)
	}
}

// String returns the text with *** in place of each secret, and of each sixteen or more bytes in a row of one.
func (m *Mask) String(text string) string {
	if m == nil {
		return text
	}
	var out bytes.Buffer
	w := m.Writer(&out)
	// A buffer takes everything.
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return out.String()
}

// Cut is [Mask.String] for a text whose end somebody else has cut off: what may be the beginning of a secret there is dropped.
func (m *Mask) Cut(text string) string {
	if m == nil {
		return text
	}
	end := len(text)
	for _, head := range m.heads {
		for n := min(len(head), len(text)); n > len(text)-end; n-- {
			if strings.HasSuffix(text, head[:n]) {
				end = len(text) - n
			}
		}
	}
	out, _ := m.shown([]byte(text), 0, end, false)
	return string(out)
}

// Rest is [Mask.String] for a text whose beginning somebody else has cut off: what may be the end of a secret there is dropped.
func (m *Mask) Rest(text string) string {
	if m == nil {
		return text
	}
	begin := 0
	for _, tail := range m.tails {
		for n := min(len(tail), len(text)); n > begin; n-- {
			if strings.HasPrefix(text, tail[len(tail)-n:]) {
				begin = n
			}
		}
	}
	out, _ := m.shown([]byte(text), begin, len(text), false)
	return string(out)
}

// Fault returns a copy of f that shows no secret; nil for nil.
func (m *Mask) Fault(f *Fault) *Fault {
	if m == nil || f == nil {
		return f
	}
	shown := *f
	shown.Reason, shown.Where = m.String(f.Reason), m.String(f.Where)
	shown.Excerpt = m.lines(f.Excerpt)
	shown.Violations = slices.Clone(f.Violations)
	for i := range shown.Violations {
		v := &shown.Violations[i]
		v.File, v.Message, v.Rewrite = m.String(v.File), m.String(v.Message), m.String(v.Rewrite)
	}
	return &shown
}

// lines returns a copy of the lines that shows no secret.
func (m *Mask) lines(lines []string) []string {
	shown := slices.Clone(lines)
	for i, line := range lines {
		shown[i] = m.String(line)
	}
	return shown
}

// condition returns a copy of c that shows no secret.
func (m *Mask) condition(c Condition) Condition {
	if m == nil {
		return c
	}
	c.Fault = m.Fault(c.Fault)
	c.Crashing = slices.Clone(c.Crashing)
	for i := range c.Crashing {
		c.Crashing[i] = *m.Fault(&c.Crashing[i])
	}
	return c
}

// error returns an error whose text shows no secret, and that is what err is.
func (m *Mask) error(err error) error {
	if m == nil || err == nil {
		return err
	}
	text := err.Error()
	shown := m.String(text)
	if shown == text {
		return err
	}
	var unavailable *Unavailable
	if errors.As(err, &unavailable) {
		return &Unavailable{Neighbour: unavailable.Neighbour, Until: unavailable.Until, Err: &maskedError{shown, err}}
	}
	return &maskedError{shown, err}
}

type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }

// Writer returns a writer that passes on to w what is written, with the secrets masked, wherever it is cut into writes. At most fifteen bytes of a line are
// held back until more comes, or Close, which leaves w open. It may be written to side by side.
func (m *Mask) Writer(w io.Writer) io.WriteCloser { return &maskWriter{mask: m, to: w} }

type maskWriter struct {
	mask *Mask
	to   io.Writer

	mu     sync.Mutex
	text   []byte // what is looked at: bytes that are passed on already, and those held back
	passed int    // how many of text are passed on
	within bool   // the last of these was masked
}

// Write implements io.Writer.
func (w *maskWriter) Write(p []byte) (int, error) {
	if w.mask == nil {
		return w.to.Write(p)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	// No secret goes over the end of a line.
	sure := max(len(w.text)-window+1, bytes.LastIndexByte(w.text, '\n')+1)
	if err := w.pass(sure); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close passes on what is held back.
func (w *maskWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pass(len(w.text))
}

// pass passes the text up to there on, and keeps as much of it as a secret that begins in it may need.
func (w *maskWriter) pass(upTo int) error {
	if upTo <= w.passed {
		return nil
	}
	var out []byte
	out, w.within = w.mask.shown(w.text, w.passed, upTo, w.within)
	kept := max(0, upTo-window+1)
	w.text = append(w.text[:0], w.text[kept:]...)
	w.passed = upTo - kept
	_, err := w.to.Write(out)
	return err
}

// shown returns what is shown of a part of the text. within says, and is said again, whether the byte before was masked.
func (m *Mask) shown(text []byte, from, upTo int, within bool) (out []byte, last bool) {
	hidden := m.hidden(text)
	for i := from; i < upTo; i++ {
		if !hidden[i] {
			out = append(out, text[i])
		} else if !within {
			out = append(out, masked...)
		}
		within = hidden[i]
	}
	return out, within
}

// hidden says of each byte whether it belongs to a secret.
func (m *Mask) hidden(text []byte) []bool {
	hidden := make([]bool, len(text))
	hide := func(from, length int) {
		for i := from; i < from+length; i++ {
			hidden[i] = true
		}
	}
	for i := 0; i+window <= len(text); i++ {
		if _, ok := m.windows[[window]byte(text[i:i+window])]; ok {
			hide(i, window)
		}
	}
	for _, secret := range m.whole {
		for at := 0; ; at++ {
			next := bytes.Index(text[at:], []byte(secret))
			if next < 0 {
				break
			}
			at += next
			hide(at, len(secret))
		}
	}
	return hidden
}
