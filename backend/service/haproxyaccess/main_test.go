package haproxyaccess

import (
	"testing"

	"go.uber.org/goleak"
)

// Every test stops what it started, so this also holds that a refused start leaves no loop behind.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Libraries that Clutch links start these when they are loaded, and never end them.
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"),
		goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
		goleak.IgnoreTopFunction("k8s.io/klog/v2.(*loggingT).flushDaemon"),
	)
}
