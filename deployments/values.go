package deployments

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Settings are what .vitrine.yml tells the Controller itself.
type Settings struct {
	Env map[string]Declaration // by the variable's name
	TTL time.Duration          // how long the environment stays; 0 for the server's
}

// Values are what the files of a checkout are read with.
type Values struct {
	// Own are the environment's, named VITRINE_*. They serve ${...}, reach every service's environment, and the builds as those arguments that a
	// Dockerfile declares.
	Own map[string]string
	// Env are those of `env:` and the Variables of the repository, which may be secret: they serve ${...}, reach every service's environment, stand in
	// for an env_file that is not there, and serve secrets from the environment. They are no build arguments, which an image's history shows.
	Env map[string]string
	// Fork says that the code is a fork's, whose builds get no secrets.
	Fork bool
}

// maxVariable is the most bytes of a Variable's value; a container's whole environment has to fit into a process's arguments.
const maxVariable = 64 << 10

// nameForm is what a variable may be called (POSIX.1-2017 §8.1).
var nameForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,199}$`)

// CheckVariable returns why a Variable cannot be stored, for the person who sets it, or nil. It does not repeat the value.
func CheckVariable(name, value string) error {
	switch {
	case !nameForm.MatchString(name):
		return fmt.Errorf("%q is no name of a Variable; it has letters, digits and _, and does not begin with a digit", name)
	case strings.HasPrefix(name, "VITRINE_"):
		return fmt.Errorf("%s: names that begin with VITRINE_ are the server's own; choose another", name)
	case strings.Contains(value, "\x00"):
		return fmt.Errorf("%s: the value has a zero byte, which no environment can hold", name)
	case len(value) > maxVariable:
		return fmt.Errorf("%s: the value has %d bytes; at most %d are kept", name, len(value), maxVariable)
	}
	return nil
}

// All returns both kinds of values, of which the environment's own win.
func (v Values) All() map[string]string {
	all := maps.Clone(v.Env)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, v.Own)
	return all
}

// A Declaration is what `env:` of .vitrine.yml says of one variable: its value, or where a preview gets it from. At most one of Value, Generate,
// Required and Encrypted is set; Fork may stand beside them.
type Declaration struct {
	Value *string // as it is written; nil where the value comes from elsewhere
	// Generate is how many hexadecimal digits a random value has that each environment draws once; 0 for none.
	Generate int
	// Required says whom to ask for the value, which has to be a Variable of the repository; empty where it may be missing.
	Required  string
	Fork      *string // the value for the code of a fork, which never sees a Variable; nil for none
	Encrypted string  // the value, encrypted for this server; empty for none
	Where     string  // its place, for people: ".vitrine.yml:12"
}

// generated returns how many digits the values have that are to be drawn, by name: what neither a Variable nor a value for forks stands in for.
func (s Settings) generated(variables map[string]string, fork bool) map[string]int {
	lengths := map[string]int{}
	for name, d := range s.Env {
		_, set := variables[name]
		if d.Generate > 0 && (fork || !set) && !(fork && d.Fork != nil) {
			lengths[name] = d.Generate
		}
	}
	return lengths
}

// resolve returns the values of what is declared and of the repository's Variables, which override it, and those that are secret. The code of a fork gets
// no Variable. What is required and has no value is a Fault that names all of it.
func (s Settings) resolve(repo string, variables, generated map[string]string, fork bool) (values map[string]string, secrets []string, err error) {
	values = map[string]string{}
	if !fork {
		maps.Copy(values, variables)
	}
	secrets = slices.Collect(maps.Values(values))
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		d := s.Env[name]
		switch _, set := values[name]; {
		case set:
		case fork && d.Fork != nil:
			values[name] = *d.Fork
		case d.Value != nil:
			values[name] = *d.Value
		case d.Generate > 0:
			values[name] = generated[name]
			secrets = append(secrets, generated[name])
		case d.Required != "":
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, nil, s.missing(repo, missing, fork)
	}
	slices.Sort(secrets)
	return values, slices.Compact(secrets), nil
}

// missing makes one Fault of the required variables that have no value.
func (s Settings) missing(repo string, names []string, fork bool) *Fault {
	f := &Fault{Kind: FaultConfig, Where: s.Env[names[0]].Where}
	assignments := make([]string, len(names))
	for i, name := range names {
		f.Excerpt = append(f.Excerpt, fmt.Sprintf("%s: %s has no value: %s", s.Env[name].Where, name, s.Env[name].Required))
		assignments[i] = name + "=..."
	}
	what := "the required variable `" + names[0] + "` has no value"
	if len(names) > 1 {
		what = "the required variables " + "`" + strings.Join(names, "`, `") + "` have no value"
	}
	so := fmt.Sprintf("On the server, run `vitrine env set %s %s`, then comment `/deploy`", repo, strings.Join(assignments, " "))
	if fork {
		so = "A fork never sees the repository's own; give them one for forks in `.vitrine.yml`, such as `{fork: \"dummy\"}`"
	}
	f.Reason = what + ". " + so
	return f
}
