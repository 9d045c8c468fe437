package show

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"vitrine/bot/internal/show/showtest"
	"vitrine/deployments"
)

// reportNames are those of showtest.Reports, in an order that stays.
var reportNames = slices.Sorted(maps.Keys(showtest.Reports()))

// written is a report in which strangers wrote s wherever they can.
func written(name, s string) View {
	r := showtest.Reports()[name]
	poison := func(f *deployments.Fault) {
		*f = deployments.Fault{
			Kind: f.Kind, Service: s, Where: s, Reason: s, Excerpt: strings.Split(s, "\n"),
			Violations: []deployments.Violation{{File: s, Line: 3, Rule: s, Message: s, Rewrite: s}},
		}
	}
	for _, d := range []*deployments.Deployment{r.Latest, r.Live} {
		if d == nil {
			continue
		}
		for i := range d.Services {
			d.Services[i].Name, d.Services[i].Status = s, s
			if d.Services[i].Lines != nil {
				d.Services[i].Lines = strings.Split(s, "\n")
			}
		}
		if d.Fault != nil {
			poison(d.Fault)
		}
		for i := range d.Condition.Crashing {
			poison(&d.Condition.Crashing[i])
		}
		if d.Condition.Fault != nil {
			poison(d.Condition.Fault)
		}
	}
	e := &r.Environment
	e.Title, e.Cause, e.Sources[0].Branch = s, s, s
	for _, field := range []*string{&e.Waiting, &e.Skipped} {
		if *field != "" {
			*field = s
		}
	}
	v := viewOf(r)
	v.Known = true
	return v
}

// pages are the texts in Markdown that people are shown of an environment, by what they are.
func pages(v View) map[string]string {
	all := map[string]string{"comment": v.Comment()}
	add := func(name string, c Check) { all[name+" summary"], all[name+" text"] = c.Summary, c.Text }
	for _, c := range v.Checks() {
		add("check "+c.Conclusion, c)
	}
	for _, conclusion := range []string{"", Success} {
		if c, ok := v.Ended(v.Environment.Source().SHA, conclusion); ok {
			add("ended "+conclusion, c)
		}
	}
	return all
}

// labels are the plain texts that people are shown of an environment.
func labels(v View) (all []string) {
	for _, c := range v.Checks() {
		all = append(all, c.Title)
		for _, a := range c.Annotations {
			all = append(all, a.Path, a.Title, a.Message)
		}
	}
	for _, d := range v.Deployments() {
		all = append(all, d.Description)
	}
	return all
}

var (
	codeMarks  = regexp.MustCompile(`</?code>`)
	tags       = regexp.MustCompile(`<[^>]*>`)
	harmInText = regexp.MustCompile(`(?i)@[a-z0-9]|#[0-9]|GH-[0-9]|://[a-z]|www\.[a-z]`)
)

// structure is what a page is made of, but for strangers' words that we set as code: the tags in their order, as GitHub renders them.
func structure(t testing.TB, page string) []string {
	return tags.FindAllString(codeMarks.ReplaceAllString(reading(t, page), ""), -1)
}

// harmless holds that nothing that strangers wrote changes what a page is made of, or mentions, references or links anything.
func harmless(t testing.TB, name, s string, innocent map[string][]string) {
	t.Helper()
	for what, page := range pages(written(name, s)) {
		if diff := cmp.Diff(innocent[what], structure(t, page)); diff != "" {
			t.Errorf("%s, %s: %q makes another page of it (-want +got)\n%s\n%s", name, what, s, diff, page)
		}
		if found := harmInText.FindString(tags.ReplaceAllString(codeTags.ReplaceAllString(reading(t, page), ""), "")); found != "" {
			t.Errorf("%s, %s: %q leaves %q in\n%s", name, what, s, found, page)
		}
	}
	for _, label := range labels(written(name, s)) {
		if strings.ContainsFunc(label, unicode.IsControl) || !utf8.ValidString(label) {
			t.Errorf("%s: %q makes the label %q", name, s, label)
		}
	}
}

// structures are those of the pages on a report in which strangers wrote nothing of note.
func structures(t testing.TB, name string) map[string][]string {
	all := make(map[string][]string)
	for what, page := range pages(written(name, "x")) {
		all[what] = structure(t, page)
	}
	return all
}

func TestPagesAreHarmless(t *testing.T) {
	for _, name := range reportNames {
		innocent := structures(t, name)
		for _, s := range hostile {
			harmless(t, name, s, innocent)
		}
	}
}

func FuzzPagesAreHarmless(f *testing.F) {
	for i, s := range hostile {
		f.Add(i, s)
	}
	f.Fuzz(func(t *testing.T, which int, s string) {
		if Plain(s, 10) == "" || len(s) > 2000 {
			return // a name that is empty, or a line that is cut, makes another page
		}
		name := reportNames[uint(which)%uint(len(reportNames))]
		harmless(t, name, s, structures(t, name))
	})
}

// Whatever comes, GitHub takes it: https://docs.github.com/rest/checks/runs has the bounds.
func TestPagesFit(t *testing.T) {
	names := make([]deployments.ServiceState, 50)
	for i := range names {
		s := strings.Repeat("#|@`*", 200)
		names[i] = deployments.ServiceState{Name: s, Status: s, Host: strings.Repeat("h", 63), Answer: 500, Lines: []string{strings.Repeat("ж", 2<<20)}}
	}
	for i, long := range []string{strings.Repeat("|*`@", 500_000), strings.Repeat("ж#\n", 5_000), strings.Repeat("`", 2<<20)} {
		for _, name := range reportNames {
			v := written(name, long)
			for _, d := range []*deployments.Deployment{v.Latest, v.Live} {
				if d == nil {
					continue
				}
				d.Services = names
				if d.Fault != nil && i == 0 {
					d.Fault.Violations = slices.Repeat(d.Fault.Violations, 300)
				}
				if d.Condition.Crashing != nil {
					d.Condition.Crashing = slices.Repeat(d.Condition.Crashing[:1], 50)
				}
			}
			for what, page := range pages(v) {
				if n := utf8.RuneCountInString(page); n >= 65_000 {
					t.Errorf("%s, %s: %d characters", name, what, n)
				}
			}
			for _, c := range v.Checks() {
				if n := utf8.RuneCountInString(c.Title); n > 255 || len(c.Annotations) > maxAnnotations {
					t.Errorf("%s: a title of %d characters, %d annotations", name, n, len(c.Annotations))
				}
				for _, a := range c.Annotations {
					if utf8.RuneCountInString(a.Title) > 255 || len(a.Message) > 64<<10 {
						t.Errorf("%s: an annotation of %d and %d", name, len(a.Title), len(a.Message))
					}
				}
			}
			for _, d := range v.Deployments() {
				if n := utf8.RuneCountInString(d.Description); n > maxDescription {
					t.Errorf("%s: a description of %d characters", name, n)
				}
			}
		}
	}
}
