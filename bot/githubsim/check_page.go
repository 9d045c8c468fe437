package githubsim

import (
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

type checkView struct {
	ID                        int64
	Name, State, Class, Title string
	DetailsURL                string
	Summary, Text             template.HTML
	Annotations               []annotationView
	Actions                   []CheckAction
	Rerun                     bool // whoever looks may press buttons
}

type annotationView struct{ Place, Level, Title, Message, RawDetails string }

// Folds reports whether there is more about a check than its line says.
func (v checkView) Folds() bool { return v.Summary != "" || v.Text != "" || len(v.Annotations) > 0 }

// checkClasses are the colours of conclusions; what has none yet waits, and the rest is grey.
var checkClasses = map[string]string{
	"success": "open", "failure": "closed", "timed_out": "closed", "action_required": "waiting", statusQueued: "waiting", statusInProgress: "waiting",
}

func (s *Server) viewChecks(runs []CheckRun, mayPress bool) ([]checkView, error) {
	var views []checkView
	for _, run := range runs {
		state := run.Status
		if state == statusCompleted {
			state = run.Conclusion
		}
		v := checkView{
			ID: run.ID, Name: run.Name, State: strings.ReplaceAll(state, "_", " "), Class: checkClasses[state], Title: run.Title,
			DetailsURL: run.DetailsURL, Rerun: mayPress,
		}
		if v.Class == "" {
			v.Class = "draft"
		}
		if mayPress {
			v.Actions = run.Actions
		}
		var err error
		if v.Summary, err = s.pages.render(run.Summary); err != nil {
			return nil, err
		}
		if v.Text, err = s.pages.render(run.Text); err != nil {
			return nil, err
		}
		for _, a := range run.Annotations {
			v.Annotations = append(v.Annotations, annotationView{Place: a.place(), Level: a.Level, Title: a.Title, Message: a.Message, RawDetails: a.RawDetails})
		}
		views = append(views, v)
	}
	return views, nil
}

// place returns the file and the lines of an annotation, "compose.yaml:3" or "compose.yaml:3-5".
func (a Annotation) place() string {
	if a.StartLine == a.EndLine {
		return fmt.Sprintf("%s:%d", a.Path, a.StartLine)
	}
	return fmt.Sprintf("%s:%d-%d", a.Path, a.StartLine, a.EndLine)
}

type deploymentView struct {
	Environment, Says, Class string
	URL, LogURL              string // where it is, while it is there
}

// viewDeployments says of each environment which deployment of a branch is active there, and before it what came of a newer one.
func viewDeployments(all []GitHubDeployment) []deploymentView {
	var views []deploymentView
	newest, active := map[string]bool{}, map[string]bool{}
	for _, d := range slices.Backward(all) {
		state, first := d.State(), !newest[d.Environment]
		newest[d.Environment] = true
		v := deploymentView{Environment: d.Environment}
		if n := len(d.Statuses); n > 0 {
			v.LogURL = d.Statuses[n-1].LogURL
		}
		switch {
		case state == stateSuccess && !active[d.Environment]:
			active[d.Environment] = true
			v.Says, v.Class, v.URL = "This branch was successfully deployed", "open", d.Statuses[len(d.Statuses)-1].EnvironmentURL
		case !first || state == stateSuccess:
			continue
		case state == stateInactive && d.Transient:
			v.Says, v.Class = "This branch's deployment was destroyed", "draft"
		case state == stateInactive:
			v.Says, v.Class = "This branch's deployment is inactive", "draft"
		case state == "error" || state == "failure":
			v.Says, v.Class = "This branch could not be deployed", "closed"
		default:
			v.Says, v.Class = "This branch is being deployed", "waiting"
		}
		views = append(views, v)
	}
	return views
}

// ofPull keeps the deployments of a pull request's commits, or of its branch where that is the base's own.
func (p *pull) ofPull(all []*deployment, commits []gitCommit) []GitHubDeployment {
	var kept []GitHubDeployment
	for _, d := range all {
		ofCommit := d.SHA == p.headSHA || slices.ContainsFunc(commits, func(c gitCommit) bool { return c.SHA == d.SHA })
		if ofCommit || p.head == p.base && d.Ref == p.headRef {
			kept = append(kept, d.export())
		}
	}
	return kept
}

// checkForm takes a press of a button beside a check run.
func (s *Server) checkForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "This form cannot be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	repo, as := r.PathValue("owner")+"/"+r.PathValue("repo"), r.PostForm.Get("user")
	id, err := strconv.ParseInt(r.PathValue("check"), 10, 64)
	if err != nil {
		s.missingPage(w, r)
		return
	}
	if r.PostForm.Has("identifier") {
		err = s.RequestAction(repo, id, r.PostForm.Get("identifier"), as)
	} else {
		err = s.RerequestCheckRun(repo, id, as)
	}
	if err != nil {
		s.showPull(w, r, http.StatusUnprocessableEntity, pullView{As: as, CheckError: err.Error()})
		return
	}
	address := s.webURL(repo, "pull", r.PathValue("number")) + "?as=" + template.URLQueryEscaper(as)
	http.Redirect(w, r, fmt.Sprintf("%s#check-%d", address, id), http.StatusSeeOther)
}

// runPage leads from the address of a check run to a pull request that shows it.
func (s *Server) runPage(w http.ResponseWriter, r *http.Request) {
	repo, err := s.repository(r.PathValue("owner") + "/" + r.PathValue("repo"))
	id, bad := strconv.ParseInt(r.PathValue("run"), 10, 64)
	if err != nil || bad != nil {
		s.missingPage(w, r)
		return
	}
	number := 0
	s.mu.Lock()
	if c := repo.check(id); c != nil {
		for _, p := range repo.pulls {
			if p.headSHA == c.headSHA {
				number = p.number
			}
		}
	}
	s.mu.Unlock()
	if number == 0 {
		s.missingPage(w, r)
		return
	}
	http.Redirect(w, r, fmt.Sprintf("%s#check-%d", s.webURL(repo.fullName(), "pull", strconv.Itoa(number)), id), http.StatusFound)
}
