package sample

import (
	"errors"
	"net"
	"net/http"
	"time"
)

// Serve serves the simulated GitHub on the listener, which is Serve's from then on, until stop is called. That breaks off requests under way, waits until
// serving has ended, and returns what ended it if that came before. It is to be called once.
func Serve(listener net.Listener, github http.Handler) (stop func() error) {
	server := &http.Server{Handler: github, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	return func() error {
		err := server.Close()
		if stopped := <-served; !errors.Is(stopped, http.ErrServerClosed) {
			err = errors.Join(err, stopped)
		}
		return err
	}
}
