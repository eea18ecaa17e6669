package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap/zaptest"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/lyft/clutch/backend/service"

	storev1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/store/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

func begin(t *testing.T, config proto.Message) (service.Service, error) {
	t.Helper()
	cfg, err := anypb.New(config)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, zaptest.NewLogger(t), tally.NoopScope)
	if err == nil {
		t.Cleanup(func() { _ = s.(*Service).Close() })
	}
	return s, err
}

func at(path string) *storev1.Config {
	return &storev1.Config{Type: &storev1.Config_Sqlite{Sqlite: &storev1.SQLite{Path: path}}}
}

func TestOthersFindTheirInterfacesInTheService(t *testing.T) {
	s, err := begin(t, at(filepath.Join(t.TempDir(), "s.db")))
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{
		"Grants": is[store.Grants](s), "Reader": is[store.Reader](s), "Positions": is[store.Positions](s),
		"Keys": is[store.Keys](s), "AuditLog": is[store.AuditLog](s),
	} {
		if !ok {
			t.Errorf("the service is no store.%s", name)
		}
	}
	id, err := s.(store.AuditLog).WriteAudit(t.Context(), time.Unix(1, 0), []byte("x"))
	if err != nil || id == 0 {
		t.Fatalf("audit row %d, %v", id, err)
	}
}

func is[T any](s service.Service) bool {
	_, ok := s.(T)
	return ok
}

func TestAWrongConfigurationIsNamed(t *testing.T) {
	dir := t.TempDir()
	loose := filepath.Join(dir, "loose")
	if err := os.Mkdir(loose, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(loose, 0o777); err != nil {
		t.Fatal(err)
	}
	shared := filepath.Join(dir, "shared")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shared, 0o720); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken := filepath.Join(dir, "taken.db")
	if _, err := begin(t, at(taken)); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		config proto.Message
		want   []string
	}{
		"no directory":            {at(filepath.Join(dir, "none", "s.db")), []string{"sqlite.path", "directory must exist"}},
		"a file for a directory":  {at(filepath.Join(file, "s.db")), []string{"sqlite.path", "is no directory"}},
		"a directory for all":     {at(filepath.Join(loose, "s.db")), []string{"sqlite.path", "others may write"}},
		"a group's directory":     {at(filepath.Join(shared, "s.db")), []string{"sqlite.path", "others may write"}},
		"a directory for a file":  {at(loose), []string{"sqlite.path"}},
		"another process's store": {at(taken), []string{"sqlite.path", "one gateway process"}},
		"no store":                {&storev1.Config{}, []string{"type"}},
		"no configuration of it":  {&durationpb.Duration{}, []string{"configuration"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := begin(t, test.config)
			if err == nil {
				t.Fatal("it was taken")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
	if files, err := filepath.Glob(filepath.Join(loose, "*")); err != nil || len(files) != 0 {
		t.Errorf("a refused start left %v, %v", files, err)
	}
}
