package registry

import (
	"io"
	"net/http"
	"regexp"
)

// fullWords is how the system says that a disk is full.
var fullWords = regexp.MustCompile(`no space left on device|disk quota exceeded`)

// mostDrained is how many bytes are read from a client that sends what there is no room for.
const mostDrained = 1 << 30

// tellFullDisk answers 507 Insufficient Storage (RFC 4918 §11.5) where the application answers 500 because the disk is full. Engines repeat the status
// to whoever asked for a push, and nothing else of an answer.
func tellFullDisk(app http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		held := &heldStatus{ResponseWriter: w, body: r.Body}
		app.ServeHTTP(held, r)
		held.release()
	})
}

// A heldStatus keeps a status of 500 back until the words that go with it are known. Distribution writes them in one piece.
type heldStatus struct {
	http.ResponseWriter
	body io.Reader // of the request
	held bool
}

// WriteHeader implements [http.ResponseWriter].
func (h *heldStatus) WriteHeader(status int) {
	if status == http.StatusInternalServerError {
		h.held = true
		return
	}
	h.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (h *heldStatus) Write(p []byte) (int, error) {
	if h.held && fullWords.Match(p) {
		h.held = false
		// A client that is still sending when the connection is closed may never read the answer. One that went away meanwhile needs none.
		_, _ = io.CopyN(io.Discard, h.body, mostDrained)
		h.ResponseWriter.WriteHeader(http.StatusInsufficientStorage)
	}
	h.release()
	return h.ResponseWriter.Write(p)
}

// Unwrap serves [http.ResponseController].
func (h *heldStatus) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (h *heldStatus) release() {
	if h.held {
		h.held = false
		h.ResponseWriter.WriteHeader(http.StatusInternalServerError)
	}
}
