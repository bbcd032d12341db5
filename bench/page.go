package bench

import (
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"strings"
)

// pageTemplate is the page of a report. It needs no network and no script.
const pageTemplate = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Command}}</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --good: #2e7d4f; --bad: #b3402e; }
@media (prefers-color-scheme: dark) { :root { --good: #7fd3a0; --bad: #ff9a86; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto 4rem; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin: 0; } h2 { margin: 3rem 0 .3rem; font-size: 1.3rem; }
.host, .about { opacity: .75; margin: .2rem 0 1rem; max-width: 80ch; }
nav a { margin-right: 1rem; }
.goals { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: .8rem; margin: 1.5rem 0; }
.goal-card { border: 1px solid var(--line); border-left: 5px solid var(--good); border-radius: 8px; padding: .6rem .9rem; }
.goal-card.missed { border-left-color: var(--bad); }
.goal-card b { font-size: 1.7rem; display: block; font-variant-numeric: tabular-nums; }
.goal-card small { display: block; opacity: .75; line-height: 1.35; }
.goal-card .verdict { color: var(--good); font-weight: 600; opacity: 1; } .goal-card.missed .verdict { color: var(--bad); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(520px, 100%), 1fr)); gap: 1rem; align-items: start; }
figure { margin: 0; padding: .6rem; border: 1px solid var(--line); border-radius: 10px; }
.charts svg { width: 100%; height: auto; display: block; }
table { border-collapse: collapse; margin: .5rem 0 1rem; width: 100%; font-size: .92rem; }
th, td { text-align: left; padding: .2rem .75rem .2rem 0; border-bottom: 1px solid var(--line); }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr:hover { background: var(--soft); }
.note { margin: .4rem 0; padding: .3rem .7rem; border-left: 3px solid #d9822b; background: var(--soft); }
summary { cursor: pointer; margin: .8rem 0; opacity: .8; }
</style>
<h1>{{.Command}}</h1>
<p class="host">{{.Host}}<br>{{.Started.Format "2006-01-02 15:04 MST"}}, took {{printf "%.0f" .Seconds}} s</p>
<nav>{{range .Sections}}<a href="#{{.Name}}">{{.Title}}</a> {{end}}</nav>
{{with .Goals}}<div class="goals">
{{range .}}<div class="goal-card{{if not .Met}} missed{{end}}"><small>{{.Name}}</small><b>{{.Unit.Format .Median}}</b><small>{{with .Range}}{{.}}, {{end}}<span class="verdict">{{if .Met}}✓{{else}}✗{{end}} asked: {{.Promise}}</span></small></div>
{{end}}</div>
{{end}}{{range .Sections}}<h2 id="{{.Name}}">{{.Title}}</h2>
{{with .About}}<p class="about">{{.}}</p>
{{end}}<div class="charts">
{{range .Charts}}<figure>{{svg .}}</figure>
{{end}}</div>
{{range .Notes}}<p class="note">{{.}}</p>
{{end}}<details><summary>All {{len .Figures}} figures</summary>
<table><thead><tr><th>figure<th class="n">median<th class="n">lowest<th class="n">highest<th class="n">samples</thead>
{{range .Figures}}<tr><td>{{.Name}}<td class="n">{{.Unit.Format .Median}}<td class="n">{{.Unit.Format .Min}}<td class="n">{{.Unit.Format .Max}}<td class="n">{{len .Samples}}
{{end}}</table></details>
{{end}}</html>
`

// Page returns the report as a page that stands for itself.
func (r Report) Page() (string, error) {
	t, err := template.New("page").Funcs(template.FuncMap{
		// The pictures are our own markup, with all text in them escaped.
		"svg": func(c Chart) template.HTML { return template.HTML(c.SVG()) },
	}).Parse(pageTemplate)
	if err != nil {
		return "", failed("page: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, r); err != nil {
		return "", failed("page: %w", err)
	}
	return b.String(), nil
}

// WriteDir writes index.html, report.json, report.md with tables, and every chart
// as a file of its own into a directory, which it makes when it is not there.
func (r Report) WriteDir(dir string) error {
	page, err := r.Page()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return failed("report: %w", err)
	}
	files := map[string]string{"index.html": page}
	var raw strings.Builder
	if err := r.WriteJSON(&raw); err != nil {
		return failed("report: %w", err)
	}
	files["report.json"] = raw.String()
	var tables strings.Builder
	if err := r.WriteMarkdown(&tables); err != nil {
		return failed("report: %w", err)
	}
	files["report.md"] = tables.String()
	for _, s := range r.Sections {
		for i, c := range s.Charts {
			files[fmt.Sprintf("%s-%d.svg", s.Name, i+1)] = c.SVG()
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return failed("report: %w", err)
		}
	}
	return nil
}

// CheckDir refuses a directory for reports that cannot be one.
func CheckDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return badOption("--report %s is a file; name a directory", dir)
	}
	return nil
}
