package deployments

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
