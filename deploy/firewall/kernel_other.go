//go:build !linux

package firewall

import "errors"

// errNoFilter is returned where containers run on another kernel than this process; a container of ours reaches theirs.
var errNoFilter = errors.New("this system has no nftables")

// Apply does nothing here and returns an error.
func Apply(Policy) (changed bool, err error) { return false, errNoFilter }

// Remove does nothing here and returns an error.
func Remove(string) error { return errNoFilter }
