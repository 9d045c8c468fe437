package main

import "errors"

// closers are what has to be closed, in the order of opening.
type closers []func() error

// add puts f before what was added earlier.
func (c *closers) add(f func() error) { *c = append(*c, f) }

// Close closes everything, the last added first. A second call does nothing.
func (c *closers) Close() error {
	var errs []error
	for len(*c) > 0 {
		last := len(*c) - 1
		errs = append(errs, (*c)[last]())
		*c = (*c)[:last]
	}
	return errors.Join(errs...)
}
