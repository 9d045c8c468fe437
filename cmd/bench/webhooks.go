package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"vitrine/cmd/bench/report"
	"vitrine/cmd/bench/world"
)

const (
	webhookRate  = 200 // a second
	webhookTime  = 30 * time.Second
	webhookBound = 10.0 // ms, of the 99th percentile
	webhookTitle = "webhook answers, 200 a second for 30 s while two deploys run"
	webhookWhat  = "the time from sending a signed webhook to having read its answer, each sent at its time whether or not those before are answered"
)

// A webhook is one that is ready to be sent, but for its delivery id.
type webhook struct {
	event     string
	body      []byte
	signature string
}

// webhooks measures the answers to webhooks while deploys keep the machine busy.
func webhooks(ctx context.Context, o options) (rows []report.Row, err error) {
	w, previews, err := openPreviews(ctx, o, "still", "busy-1", "busy-2")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	mix, err := mixOf(w)
	if err != nil {
		return nil, err
	}
	w.Say("  sending for %s", webhookTime)
	var beside probe
	sent, deployed, err := storm(ctx, w, previews[1:], mix, &beside)
	if err != nil {
		return nil, err
	}
	stored, err := w.Serve.Number(ctx, `SELECT count(*) FROM deliveries WHERE guid LIKE 'bench-%'`)
	if err != nil {
		return nil, err
	}
	return []report.Row{webhookRow(sent, int(stored), deployed, beside)}, nil
}

// An answer is what came of one webhook that was sent.
type answer struct {
	took   time.Duration
	status int
	err    error
}

// storm sends the webhooks of the mix in turn while the previews are deployed over and over and the probe watches. It returns the answers, and how many
// deploys went live.
func storm(ctx context.Context, w *world.World, busy []*ours, mix []webhook, beside *probe) ([]answer, int, error) {
	over, stop := context.WithCancel(ctx)
	defer stop()
	group, working := errgroup.WithContext(ctx)
	rounds := make([]int, len(busy))
	for i, preview := range busy {
		group.Go(func() error {
			for ; over.Err() == nil; rounds[i]++ {
				if _, err := preview.round(working, fmt.Sprintf("%s, round %d", preview.branch, rounds[i])); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error { return beside.watch(over, w.Dir) })
	var sent []answer
	group.Go(func() error {
		defer stop()
		sent = send(working, w, mix, int(webhookTime.Seconds())*webhookRate, time.Second/webhookRate)
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, 0, err
	}
	deployed := 0
	for _, n := range rounds {
		deployed += n
	}
	return sent, deployed, nil
}

// send sends n webhooks, one each pause, and returns the answers once all are there.
func send(ctx context.Context, w *world.World, mix []webhook, n int, pause time.Duration) []answer {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	answers := make([]answer, n)
	var under sync.WaitGroup
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	began := time.Now()
	for i := range n {
		// A ticker drops what comes too late; the time of each webhook is reckoned from the start.
		for time.Since(began) < time.Duration(i)*pause && ctx.Err() == nil {
			<-ticker.C
		}
		under.Go(func() {
			answers[i] = deliver(ctx, client, w.Hook, mix[i%len(mix)], fmt.Sprintf("bench-%s-%d", w.Name, i))
		})
	}
	under.Wait()
	return answers
}

func deliver(ctx context.Context, client *http.Client, hook string, h webhook, guid string) answer {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, hook, bytes.NewReader(h.body))
	if err != nil {
		return answer{err: err}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-GitHub-Event", h.event)
	request.Header.Set("X-GitHub-Delivery", guid)
	request.Header.Set("X-Hub-Signature-256", h.signature)
	began := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return answer{took: time.Since(began), status: response.StatusCode, err: err}
}

// How the mix is made up: of every mixPeriod webhooks, mixPushes are pushes and mixKnown are about what is live already.
const (
	mixPeriod = 10
	mixPushes = 1
	mixKnown  = 3
	mixPulls  = 200 // pull requests that the others are about
)

// mixOf makes webhooks of those that the simulated GitHub has sent. Each has to be stored before it is answered, and none starts a build.
func mixOf(w *world.World) ([]webhook, error) {
	var pull, push []byte
	for _, d := range slices.Backward(w.Github.Deliveries()) {
		switch {
		case d.Event == "pull_request" && d.Action == "opened" && bytes.Contains(d.Body, []byte(`"Change still"`)):
			pull = d.Body
		case d.Event == "push":
			push = d.Body
		}
	}
	if pull == nil || push == nil {
		return nil, errors.New("the simulated GitHub has sent no webhook to take as a pattern")
	}
	var mix []webhook
	for i := range mixPulls {
		var event string
		var body []byte
		var err error
		switch at := i % mixPeriod; {
		case at < mixPushes:
			event = "push"
			body, err = altered(push, map[string]any{"ref": fmt.Sprintf("refs/heads/topic-%d", i)}, nil)
		case at < mixPushes+mixKnown:
			event = "pull_request"
			body, err = altered(pull, map[string]any{"action": "synchronize"}, nil)
		default:
			event = "pull_request"
			number := 1000 + i
			body, err = altered(pull, map[string]any{"action": "labeled", "number": number},
				map[string]any{"number": number, "title": fmt.Sprintf("Topic %d [skip preview]", i)})
		}
		if err != nil {
			return nil, err
		}
		mix = append(mix, webhook{event: event, body: body, signature: signatureOf(body, w.Name)})
	}
	return mix, nil
}

// altered returns a payload with other values at its top, and in its pull request.
func altered(body []byte, top, pull map[string]any) ([]byte, error) {
	var payload map[string]any
	if err := json.Unmarshal(body, &payload); err != nil {
		return nil, fmt.Errorf("read a webhook of the simulated GitHub: %w", err)
	}
	for name, value := range top {
		payload[name] = value
	}
	if inner, ok := payload["pull_request"].(map[string]any); ok {
		for name, value := range pull {
			inner[name] = value
		}
	}
	return json.Marshal(payload)
}

// signatureOf returns the value of X-Hub-Signature-256.
func signatureOf(body []byte, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// webhookRow returns the row of the answers, of which stored are in serve's database.
func webhookRow(sent []answer, stored, deployed int, beside probe) report.Row {
	var took report.Distribution
	accepted := 0
	for _, a := range sent {
		if a.err == nil && a.status == http.StatusAccepted {
			accepted++
			took = append(took, milliseconds(a.took))
		}
	}
	p99 := took.Quantile(0.99)
	row := report.Row{
		Title: webhookTitle, What: webhookWhat,
		Lines: []report.Line{
			{Name: "answer", Unit: "ms", Values: took},
			{Name: "beside it: a write of 4 KiB with fsync", Unit: "ms", Values: beside.write},
			{Name: "beside it: how late a timer fires", Unit: "ms", Values: beside.late},
		},
		Result:  fmt.Sprintf("p99 %s ms, %d of %d stored", report.Figure(p99), stored, len(sent)),
		Bound:   fmt.Sprintf("p99 at most %s ms, none lost", report.Figure(webhookBound)),
		Verdict: report.Holds,
		Notes: []string{
			fmt.Sprintf("Of every %d webhooks %d are pushes to branches without a preview (a request is stored, which a worker then asks GitHub about), %d are news about a "+
				"pull request whose commit is live already, and %d are about pull requests that a rule skips (an event is stored). Each is one transaction before the "+
				"answer; none starts a build, which the two pull requests that are deployed over and over do: %d deploys went live meanwhile. p50 %s ms, p99 %s ms.",
				mixPeriod, mixPushes, mixKnown, mixPeriod-mixPushes-mixKnown, deployed, report.Figure(took.Median()), report.Figure(p99)),
		},
	}
	switch {
	case accepted < len(sent):
		row.Verdict = fmt.Sprintf("does not hold: %d were not answered with 202", len(sent)-accepted)
	case stored < accepted:
		row.Verdict = fmt.Sprintf("does not hold: %d were answered with 202 and are not stored", accepted-stored)
	case !(p99 <= webhookBound):
		row.Verdict = fmt.Sprintf("does not hold; beside it a write with fsync took %s ms (p99) and a timer was %s ms late (p99)",
			report.Figure(beside.write.Quantile(0.99)), report.Figure(beside.late.Quantile(0.99)))
	}
	return row
}
