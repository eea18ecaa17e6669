package server

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/haproxytech/client-native/v5/models"
)

// maxHistory bounds the remembered reloads.
const maxHistory = 100

// history knows the reload to come, the one that runs and the past ones.
type history struct {
	mu            sync.Mutex
	index         int
	next, current string
	past          []*models.Reload
}

// schedule returns the id of the reload to come and makes one if there is none.
func (h *history) schedule(now time.Time) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next == "" {
		h.next = fmt.Sprintf("%s-%d", now.Format(time.DateOnly), h.index)
		h.index++
	}
	return h.next
}

// begin takes the reload to come; "" means that there is none.
func (h *history) begin() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.current, h.next = h.next, ""
	return h.current
}

func (h *history) finish(id, response string, err error, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.current = ""
	if id == "" {
		return
	}
	reload := &models.Reload{
		ID: id, Response: response, ReloadTimestamp: now.Unix(), Status: models.ReloadStatusSucceeded,
	}
	if err != nil {
		reload.Status = models.ReloadStatusFailed
		reload.Response = fmt.Sprintf("%v, %s", err, response)
	}
	h.past = append(h.past, reload)
	if extra := len(h.past) - maxHistory; extra > 0 {
		h.past = slices.Delete(h.past, 0, extra)
	}
}

func (h *history) list() models.Reloads {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := models.Reloads(slices.Clone(h.past))
	for _, id := range []string{h.current, h.next} {
		if id != "" {
			list = append(list, &models.Reload{ID: id, Status: models.ReloadStatusInProgress})
		}
	}
	return list
}

func (s *Server) listReloads(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, append(models.Reloads{}, s.reloads.history.list()...))
}

func (s *Server) getReload(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	for _, reload := range s.reloads.history.list() {
		if reload.ID == id {
			answer(w, http.StatusOK, reload)
			return
		}
	}
	refuse(w, http.StatusNotFound, "Reload with ID "+id+" does not exist")
}
