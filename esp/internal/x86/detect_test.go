package x86

import (
	"os"
	"runtime"
	"strings"
	"testing"
)

// What the kernel says of the processor must be what the processor says.
func TestDetect(t *testing.T) {
	f := Detect()
	if f.VPCLMUL && !f.VAES || f.VAES && !f.Wide || f.Wide && !f.AES {
		t.Errorf("a part without the whole: %+v", f)
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || runtime.GOARCH != "amd64" || f == (Features{}) {
		return
	}
	flags := strings.Fields(string(info))
	has := map[string]bool{}
	for _, flag := range flags {
		has[flag] = true
	}
	if f.AES != (has["aes"] && has["avx"]) || f.SHA != has["sha_ni"] || f.VAES && !has["vaes"] ||
		f.VAES256 != (f.AES && has["avx2"] && has["vaes"] && has["vpclmulqdq"]) || f.VPCLMUL != (f.VAES && f.VAES256) || f.Wide != (has["avx512bw"] && has["avx512vl"] && has["avx512dq"]) {
		t.Errorf("%+v", f)
	}
}
