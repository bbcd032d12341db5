package fence

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// promise is a row of docs/promises.md.
type promise struct {
	document, sentence string
	tests              []string // "folder TestName"
}

// documents are those that promise something to users, and where in them every item of a
// list and every paragraph has to have a row.
func documents() map[string][]string {
	return map[string][]string{
		"README.md": {"What it is", "Clients", "Group names", "IKEv2", "Cisco IPSec and IPSec Xauth", "Limits",
			"Changes while it runs", "Commands", "How tenants are told apart", "Who is logged in", "Ways out"},
		"SECURITY.md":                  {"What to rely on"},
		"CHANGELOG.md":                 {"Security"},
		"ARCHITECTURE.md":              {"What strangers can cost us"},
		"internal/config/example.yaml": nil,
	}
}

// strict are the documents, and the part of them, in which each sentence that has one of
// the words of promising has to have a row.
func strict(t *testing.T) map[string]string {
	changelog := document(t, "CHANGELOG.md")
	_, security, _ := strings.Cut(changelog, "### Security\n")
	security, _, _ = strings.Cut(security, "\n## ")
	_, rely, _ := strings.Cut(document(t, "SECURITY.md"), "## What to rely on\n")
	rely, _, _ = strings.Cut(rely, "\n## ")
	return map[string]string{
		"internal/config/example.yaml": comments(document(t, "internal/config/example.yaml")),
		"CHANGELOG.md":                 security,
		"SECURITY.md":                  rely,
	}
}

// comments are those of a YAML file, with an empty line for whatever else there is.
func comments(text string) string {
	lines := strings.Split(text, "\n")
	for n, line := range lines {
		comment, is := strings.CutPrefix(strings.TrimSpace(line), "#")
		if lines[n] = strings.TrimSpace(comment); !is {
			lines[n] = ""
		}
	}
	return strings.Join(lines, "\n")
}

// promising is the words by which a sentence is taken for a promise.
var promising = regexp.MustCompile(`(?i)\b(never|always|only|nobody|nothing|none of|no more|no longer|refused|refuses|closed|closes|bounded|at most|at once|again|followed|stays?|thrown out|without a (look|cut|restart))\b`)

// notPromised is what stands among them and promises nothing: commands to type, the head of
// a table.
var notPromised = regexp.MustCompile(`^culvert ca init --dir|\|---`)

// document reads a file of the repository.
func document(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// plain is text without the signs of Markdown and YAML and with single spaces, so that a
// sentence is found however its lines are broken.
func plain(text string) string {
	text = regexp.MustCompile("(?m)^ *# ?").ReplaceAllString(text, "")
	return strings.Join(strings.Fields(strings.NewReplacer("**", "", "`", "").Replace(text)), " ")
}

// promises parses docs/promises.md: a table a document, with its name as the heading.
func promises(t *testing.T) (all []promise) {
	t.Helper()
	in := ""
	for _, line := range strings.Split(document(t, "docs/promises.md"), "\n") {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			in = strings.TrimSpace(heading)
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) < 2 || cells[0] == "Promise" {
			continue
		}
		p := promise{document: in, sentence: plain(cells[0])}
		for _, m := range regexp.MustCompile("`([^` ]+) ([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			for _, name := range strings.Fields(m[2]) {
				p.tests = append(p.tests, m[1]+" "+name)
			}
		}
		all = append(all, p)
	}
	return all
}

// testsOf are the names of the tests and fuzz targets of a folder.
func testsOf(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(folder), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(b, -1) {
			names[string(m[1])] = true
		}
	}
	return names
}

// TestPromisesHaveTests: what the documents promise stands there as docs/promises.md has
// it, and each promise has a test that exists.
func TestPromisesHaveTests(t *testing.T) {
	all, folders, texts := promises(t), map[string]map[string]bool{}, map[string]string{}
	for name := range documents() {
		texts[name] = plain(document(t, name))
	}
	for _, p := range all {
		text, known := texts[p.document]
		switch {
		case !known:
			t.Errorf("docs/promises.md: %s is no document that promises anything", p.document)
		case len(p.sentence) < 10 || !strings.Contains(text, p.sentence):
			t.Errorf("docs/promises.md: %s does not say: %s", p.document, p.sentence)
		case len(p.tests) == 0:
			t.Errorf("docs/promises.md: no test shows: %s", p.sentence)
		}
		for _, test := range p.tests {
			folder, name, _ := strings.Cut(test, " ")
			if folders[folder] == nil {
				folders[folder] = testsOf(t, folder)
			}
			if !folders[folder][name] {
				t.Errorf("docs/promises.md: %s has no %s, which shows: %s", folder, name, p.sentence)
			}
		}
	}
	if len(all) < 150 {
		t.Errorf("docs/promises.md has %d promises only", len(all))
	}
}

// TestEveryPromiseIsListed: where documents say what users may rely on, each item has a
// row in docs/promises.md.
func TestEveryPromiseIsListed(t *testing.T) {
	all := promises(t)
	for name, headings := range documents() {
		text := document(t, name)
		for _, heading := range headings {
			items := itemsUnder(text, heading)
			if len(items) == 0 {
				t.Errorf("%s has nothing under %q", name, heading)
			}
			for _, item := range items {
				if !promised(all, name, plain(item)) {
					t.Errorf("%s, %q: docs/promises.md has no row for: %.100s", name, heading, plain(item))
				}
			}
		}
	}
}

// promised reports whether a sentence of the item has a row.
func promised(all []promise, document, item string) bool {
	for _, p := range all {
		if p.document == document && strings.Contains(item, p.sentence) {
			return true
		}
	}
	return false
}

// itemsUnder are the items of lists, the rows of tables and the paragraphs under a heading.
// What ends with a colon only leads to what follows it.
func itemsUnder(text, heading string) []string {
	_, under, found := strings.Cut(text, "# "+heading+"\n")
	if !found {
		return nil
	}
	under = regexp.MustCompile("(?s)```.*?```").ReplaceAllString(under, "")
	under = regexp.MustCompile(`(?m)^#.*$`).Split(under, 2)[0]
	var items []string
	for _, block := range strings.Split(under, "\n\n") {
		for _, item := range regexp.MustCompile(`(?m)^(?:- |\d\. |\| )`).Split(block, -1) {
			item = strings.TrimSpace(item)
			leads := strings.HasSuffix(item, ":") && !promising.MatchString(item)
			if strings.Count(item, " ") > 1 && !leads && !notPromised.MatchString(item) {
				items = append(items, item)
			}
		}
	}
	return items
}

// TestEverySentenceThatPromisesIsListed: where a sentence says never, only, refused and the
// like, docs/promises.md has it.
func TestEverySentenceThatPromisesIsListed(t *testing.T) {
	all := promises(t)
	for name, text := range strict(t) {
		for _, block := range regexp.MustCompile(`(?:^|\n)- |\n\n`).Split(text, -1) {
			for _, sentence := range regexp.MustCompile(`[.:;] `).Split(plain(block), -1) {
				sentence = strings.Trim(sentence, " .:;-")
				if promising.MatchString(sentence) && !covered(all, name, sentence) {
					t.Errorf("%s: docs/promises.md has no row for: %s", name, sentence)
				}
			}
		}
	}
}

// covered reports whether a row has the sentence, or a part of it.
func covered(all []promise, document, sentence string) bool {
	for _, p := range all {
		if p.document == document && (strings.Contains(p.sentence, sentence) || strings.Contains(sentence, p.sentence)) {
			return true
		}
	}
	return false
}

// TestPromisesAreSeen shows the checks above what they have to find.
func TestPromisesAreSeen(t *testing.T) {
	const text = "## Doors\n\nThese are **closed**, always.\nAlso here. (For everybody.)\n\n- one is `shut` for good.)\n- two has no end\n" +
		"\n| a | b |\n|---|---|\n| `x y` | is never seen |\n\nSee what follows:\n\n```\nno promise at all\n```\n\n## Else\n\nNothing to see here.\n"
	var items []string
	for _, item := range itemsUnder(text, "Doors") {
		items = append(items, plain(item))
	}
	if got := strings.Join(items, "/"); got != "These are closed, always. Also here. (For everybody.)/one is shut for good.)/two has no end/x y | is never seen |" {
		t.Errorf("found %s", got)
	}
	for sentence, is := range map[string]bool{"It is never sent": true, "Lists are read again": true, "What is refused is told": true, "It is a list": false} {
		if promising.MatchString(sentence) != is {
			t.Errorf("%q is a promise: %v", sentence, !is)
		}
	}
	if got := comments("# one\na: 1 # two\n  # three\n"); got != "one\n\nthree\n" {
		t.Errorf("comments %q", got)
	}
}
