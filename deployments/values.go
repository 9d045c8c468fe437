package deployments

import "maps"

// Values are what the files of a checkout are read with.
type Values struct {
	// Own are the environment's, named VITRINE_*. They serve ${...}, reach every service's environment, and the builds as those arguments that a
	// Dockerfile declares.
	Own map[string]string
	// Env are those of `env:` and the Variables of the repository, which may be secret: they serve ${...}, reach every service's environment, stand in
	// for an env_file that is not there, and serve secrets from the environment. They are no build arguments, which an image's history shows.
	Env map[string]string
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
