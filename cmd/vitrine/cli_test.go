package main

import (
	"bytes"
	"strings"
	"testing"
)

// An outcome is what a command line came to.
type outcome struct {
	code     int
	out, err string
}

// command carries out a command line in this process.
func command(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), args, &out, &errs)
	return outcome{code, out.String(), errs.String()}
}

// says checks the exit code, and that each text stands where the user looks for it: in the error where the code is not 0.
func (o outcome) says(t *testing.T, code int, texts ...string) {
	t.Helper()
	printed := o.err
	if code == exitOK {
		printed = o.out
	}
	for _, text := range texts {
		if !strings.Contains(printed, text) {
			t.Errorf("it does not say %q", text)
		}
	}
	if o.code != code || t.Failed() {
		t.Errorf("exit code %d, want %d; printed:\n%s%s", o.code, code, o.out, o.err)
	}
}

func TestCommandLine(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		code  int
		texts []string
	}{
		"no command":         {nil, exitUsage, []string{"expected one of", `"serve"`, `"demo"`, `"doctor"`}},
		"unknown command":    {[]string{"server"}, exitUsage, []string{"unexpected argument server"}},
		"unknown flag":       {[]string{"serve", "--lisen=x"}, exitUsage, []string{"unknown flag --lisen"}},
		"argument too many":  {[]string{"version", "please"}, exitUsage, []string{"unexpected argument please"}},
		"version":            {[]string{"version"}, exitOK, []string{"vitrine " + version() + "\n"}},
		"help":               {[]string{"--help"}, exitOK, []string{"Usage: vitrine <command>", "serve", "demo", "doctor", "version"}},
		"help of a command":  {[]string{"serve", "--help"}, exitOK, []string{"--listen=", "$VITRINE_LISTEN", "--github-app-id", "--config"}},
		"a number with text": {[]string{"serve", "--builds=two"}, exitUsage, []string{"--builds", `"two"`}},
		"no level":           {[]string{"serve", "--log-level=loud"}, exitUsage, []string{"--log-level", "debug", `"loud"`}},
	} {
		t.Run(name, func(t *testing.T) { command(t, test.args...).says(t, test.code, test.texts...) })
	}
}

// The services of the sample are for the demo's containers, and nobody else is told of them.
func TestHelpHidesTheSample(t *testing.T) {
	if o := command(t, "--help"); strings.Contains(o.out, "sample") {
		t.Errorf("printed:\n%s", o.out)
	}
}
