package server_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

const key = "alice@example.com|staging/web"

func TestAMapChangeIsInForceForTheNextRequest(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		w.want(t, 201, key, "POST", entries+"?map=grants.map", entry{key, "1:a"})
		if got := w.through(t, key); got != "1:a" {
			t.Fatalf("after add: %q", got)
		}
		w.want(t, 200, "2:b", "PUT", entryPath(key), map[string]string{"value": "2:b"})
		if got := w.through(t, key); got != "2:b" {
			t.Fatalf("after set: %q", got)
		}
		w.want(t, 204, "", "DELETE", entryPath(key), nil)
		if got := w.through(t, key); got != "none" {
			t.Fatalf("after delete: %q", got)
		}
	}
}

func TestMapEntryStatusCodes(t *testing.T) {
	w := newWorld(t)
	list := entries + "?map=grants.map"
	w.want(t, 200, "fromfile", "GET", list, nil)
	w.want(t, 200, "fromfile", "GET", entryPath("infile"), nil)
	w.want(t, 404, "", "GET", entryPath("absent"), nil)
	w.want(t, 409, "", "POST", list, entry{"infile", "x"})
	w.want(t, 400, "", "POST", entries+"?map=unknown.map", entry{"k", "v"})
	w.want(t, 404, "", "PUT", entryPath("absent"), map[string]string{"value": "v"})
	w.want(t, 422, `"code":602`, "PUT", entryPath("infile"), map[string]string{})
	w.want(t, 404, "Key not found", "DELETE", entryPath("absent"), nil)
	w.want(t, 422, `"code":602`, "GET", entries, nil)
	w.want(t, 400, "", "POST", list, "no json")
	w.want(t, 400, "force_sync", "POST", list+"&force_sync=true", entry{"k", "v"})
	w.want(t, 404, "", "GET", entries+"?map=unknown.map", nil)
	if got := w.through(t, "k"); got != "none" {
		t.Errorf("a refused call changed the map: %q", got)
	}
}

func TestMapListAndClear(t *testing.T) {
	w := newWorld(t)
	w.want(t, 200, `"storage_name":"grants.map"`, "GET", services+"/runtime/maps", nil)
	w.want(t, 200, w.mapFile, "GET", services+"/runtime/maps/grants.map", nil)
	w.want(t, 404, "", "GET", services+"/runtime/maps/unknown.map", nil)
	w.want(t, 204, "", "DELETE", services+"/runtime/maps/grants.map", nil)
	if got := w.through(t, "infile"); got != "none" {
		t.Errorf("after clear: %q", got)
	}
}

func TestAReloadBringsTheRowsOfTheFileBack(t *testing.T) {
	w := newWorld(t)
	w.want(t, 204, "", "DELETE", entryPath("infile"), nil)
	w.want(t, 201, "", "POST", entries+"?map=grants.map", entry{"inmemory", "m"})
	if a, b := w.through(t, "infile"), w.through(t, "inmemory"); a != "none" || b != "m" {
		t.Fatalf("before the reload: %q %q", a, b)
	}
	w.reload(t)
	if a, b := w.through(t, "infile"), w.through(t, "inmemory"); a != "fromfile" || b != "none" {
		t.Fatalf("after the reload: %q %q", a, b)
	}
}

func TestAMapFileIsReplacedWithoutAReloadAndReadByTheNextOne(t *testing.T) {
	w := newWorld(t)
	file := services + "/storage/maps/grants.map"
	w.want(t, 200, "infile fromfile\n", "GET", file, nil)
	w.want(t, 204, "", "PUT", file+"?skip_reload=true", key+" 9:z\n")
	if text := w.read(t, w.mapFile); text != key+" 9:z\n" {
		t.Fatalf("file: %q", text)
	}
	if got := w.through(t, key); got != "none" {
		t.Fatalf("the file changed the memory: %q", got)
	}
	w.reload(t)
	if got := w.through(t, key); got != "9:z" {
		t.Fatalf("after the reload: %q", got)
	}
	w.want(t, 204, "", "PUT", file+"?force_reload=true", key+" 10:y\n")
	if got := w.through(t, key); got != "10:y" {
		t.Fatalf("after force_reload: %q", got)
	}
	w.want(t, 404, "", "PUT", services+"/storage/maps/absent.map?skip_reload=true", "a b\n")
	w.want(t, 404, "", "GET", services+"/storage/maps/absent.map", nil)
	w.want(t, 409, "referenced", "DELETE", file, nil)
	w.want(t, 200, `"storage_name":"grants.map"`, "GET", services+"/storage/maps", nil)
}

// As 2.9 was measured: PUT only replaces, POST only makes, and a name keeps its last dot alone.
func TestGeneralFilesAreMadeReplacedAndListed(t *testing.T) {
	w := newWorld(t)
	general := services + "/storage/general"
	at := filepath.Join(w.dir, "general")
	w.want(t, 200, "[]", "GET", general, nil)
	w.want(t, 404, "missing object", "PUT", general+"/403.html?skip_reload=true", "page")
	w.want(t, 201, `"file":"`+at+`/403.html"`, "POST", general, upload{"403.html", "page"})
	w.want(t, 409, "already exists", "POST", general, upload{"403.html", "other"})
	w.want(t, 201, `"storage_name":"idp_k1.pem"`, "POST", general, upload{"idp.k1.pem", "key"})
	w.want(t, 204, "", "PUT", general+"/403.html?skip_reload=true", "new page")
	w.want(t, 200, "new page", "GET", general+"/403.html", nil)
	w.want(t, 404, "missing object", "GET", general+"/none.html", nil)
	w.want(t, 200, `"file":"`+at+`/idp_k1.pem"`, "GET", general, nil)
	w.want(t, 201, "not loaded map file", "POST", services+"/storage/maps", upload{"hosts.map", "\n"})
	w.want(t, 409, "already exists", "POST", services+"/storage/maps", upload{"hosts.map", "\n"})
	w.want(t, 400, "file_upload", "POST", services+"/storage/maps", "a b\n")
}

func rows(n int) []entry {
	list := make([]entry, n)
	for i := range list {
		list[i] = entry{fmt.Sprintf("key%04d", i), fmt.Sprintf("value%04d", i)}
	}
	return list
}

func TestABulkPutAddsBelow8KiBAndReplacesAbove(t *testing.T) {
	w := newWorld(t)
	bulk := services + "/runtime/maps/grants.map"
	w.want(t, 201, "", "PUT", bulk, rows(3))
	if a, b := w.through(t, "infile"), w.through(t, "key0002"); a != "fromfile" || b != "value0002" {
		t.Fatalf("below: %q %q", a, b)
	}
	w.want(t, 201, "", "PUT", bulk, rows(1000)) // 18 bytes a line
	if a, b := w.through(t, "infile"), w.through(t, "key0999"); a != "none" || b != "value0999" {
		t.Fatalf("above: %q %q", a, b)
	}
	got := w.want(t, 200, "", "GET", entries+"?map=grants.map", nil)
	if n := strings.Count(got.body, `"key":`); n != 1000 {
		t.Errorf("%d entries after the replace", n)
	}
	w.want(t, 500, "", "PUT", bulk, []entry{})
	if got := w.through(t, "key0999"); got != "value0999" {
		t.Errorf("after the empty put: %q", got)
	}
}

// The engine of the real program answers 201 and drops a last line that begins a
// new chunk of 8 KiB: whoever uses a bulk PUT has to read the map back.
func TestABulkPutLosesALastLineThatOverflowsItsChunk(t *testing.T) {
	w := newWorld(t)
	bulk := services + "/runtime/maps/grants.map"
	w.want(t, 201, "key0455", "PUT", bulk, rows(456)) // 455 lines of 18 bytes fit into 8192
	if a, b := w.through(t, "key0454"), w.through(t, "key0455"); a != "value0454" || b != "none" {
		t.Fatalf("456 rows: %q %q", a, b)
	}
	w.want(t, 201, "key0456", "PUT", bulk, rows(457))
	if a, b := w.through(t, "key0455"), w.through(t, "key0456"); a != "value0455" || b != "value0456" {
		t.Fatalf("457 rows: %q %q", a, b)
	}
}

func TestHostileTextNeverReachesHAProxy(t *testing.T) {
	w := newWorld(t)
	list := entries + "?map=grants.map"
	for name, hostile := range map[string]string{
		"line feed":       "k v\nclear map " + w.mapFile + "\n",
		"carriage return": "k\rclear map " + w.mapFile,
		"nul":             "k\x00",
		"payload mark":    "<<",
	} {
		t.Run(name, func(t *testing.T) {
			w.want(t, 400, "", "POST", list, entry{hostile, "v"})
			w.want(t, 400, "", "POST", list, entry{"k", hostile})
			w.want(t, 400, "", "PUT", entryPath("infile"), map[string]string{"value": hostile})
			w.want(t, 400, "", "DELETE", entryPath(hostile), nil)
			w.want(t, 400, "", "GET", entryPath(hostile), nil)
			w.want(t, 400, "", "PUT", services+"/runtime/maps/grants.map", []entry{{"ok", "ok"}, {hostile, "v"}})
			if a, b, c := w.through(t, "infile"), w.through(t, "k"), w.through(t, "ok"); a != "fromfile" || b != "none" || c != "none" {
				t.Errorf("map after the attempts: %q %q %q", a, b, c)
			}
		})
	}
	w.want(t, 400, "", "GET", entries+"?map=%23-1%0Aclear%20map%20"+w.mapFile, nil)
	w.want(t, 400, "", "GET", services+"/runtime/servers/a%0Ab?backend=be_pool", nil)
	w.want(t, 400, "", "GET", services+"/runtime/servers?backend=a%0Ab", nil)
}
