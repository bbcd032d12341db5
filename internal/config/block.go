package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// readBlock reads the files of addresses that nobody dials in from. What is in them is read by
// who serves: they are large, and change.
func (r *reader) readBlock(v value) (files []string) {
	v.items(func(item value) {
		s, ok := item.text()
		if !ok {
			return
		}
		path, isFile := strings.CutPrefix(s, "file:")
		if !isFile || path == "" {
			item.refuse(fmt.Sprintf("%s: %q names no file", item.path, s), "write file: and the path of a file with an address or a network a line; single ones are for `culvert bans add`")
			return
		}
		path = r.beside(path)
		if slices.Contains(files, path) {
			item.refuse(fmt.Sprintf("%s: %s is listed twice", item.path, path), "drop one of the two")
			return
		}
		if _, err := os.Stat(path); err != nil && !r.outside.outline {
			item.warn(fmt.Sprintf("%s: %s cannot be read: nobody is refused for it until it is there", item.path, path), "write the file, or drop it from "+v.path)
		}
		files = append(files, path)
	})
	return files
}
