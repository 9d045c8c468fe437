package githubsim

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// problems are what is wrong with a request, in the words of the validator that GitHub holds requests against its schemas with.
type problems []string

func (p *problems) missing(field string, there bool) {
	if !there {
		*p = append(*p, fmt.Sprintf("%q wasn't supplied.", field))
	}
}

func (p *problems) oneOf(field, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		list, err := json.Marshal(allowed)
		if err != nil {
			panic(err) // strings are always JSON
		}
		*p = append(*p, fmt.Sprintf("For 'properties/%s', %q is not a member of %s.", field, value, strings.ReplaceAll(string(list), ",", ", ")))
	}
}

func (p *problems) characters(value string, most int) {
	if n := utf8.RuneCountInString(value); n > most {
		*p = append(*p, fmt.Sprintf("Only %d characters are allowed; %d were supplied.", most, n))
	}
}

func (p *problems) items(n, most int) {
	if n > most {
		*p = append(*p, fmt.Sprintf("No more than %d items are allowed; %d were supplied.", most, n))
	}
}

func (p *problems) link(field, value string) {
	if u, err := url.Parse(value); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		*p = append(*p, fmt.Sprintf("For 'properties/%s', %q must be a http or https URL.", field, value))
	}
}

// moment reads a time, the zero time where there is none.
func (p *problems) moment(field string, value *string) time.Time {
	if value == nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, *value)
	if err != nil {
		*p = append(*p, fmt.Sprintf("For 'properties/%s', %q is not a valid date-time.", field, *value))
	}
	return t.UTC()
}

// answer returns nil where nothing is wrong.
func (p problems) answer() *answer {
	if len(p) == 0 {
		return nil
	}
	a := invalid("Invalid request.\n\n" + strings.Join(p, "\n"))
	return &a
}
