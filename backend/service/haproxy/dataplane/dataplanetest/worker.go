package dataplanetest

import (
	"slices"
	"strings"
	"time"
)

// Memory returns a map as the running worker has it.
func (s *Server) Memory(mapName string) []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.state(mapName).memory)
}

// File returns a map's file.
func (s *Server) File(mapName string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state(mapName).file
}

// EditMemory changes the running worker's map as a foreigner does at the runtime socket: anything goes.
func (s *Server) EditMemory(mapName string, edit func([]Entry) []Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.state(mapName)
	m.memory = edit(slices.Clone(m.memory))
}

// EditFile changes a map's file as a foreigner does on the disk.
func (s *Server) EditFile(mapName, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state(mapName).file = text
}

// RemoveMap takes a map out of memory and disk, as one that the configuration does not name.
func (s *Server) RemoveMap(mapName string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.maps, mapName)
}

func (s *Server) state(mapName string) *mapState {
	m, ok := s.maps[mapName]
	if !ok {
		panic("dataplanetest: no map " + mapName)
	}
	return m
}

// PID is the running worker's process identifier.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid
}

// Reload reloads HAProxy: a new worker starts now, with the maps of the files and the servers of the configuration.
// It also brings a HAProxy that was down up again.
func (s *Server) Reload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reload()
}

func (s *Server) reload() {
	if s.settings.OnReload != nil {
		old := map[string][]Entry{}
		for name, m := range s.maps {
			old[name] = slices.Clone(m.memory)
		}
		s.settings.OnReload(old)
	}
	s.pid++
	s.started = s.now()
	s.down = false
	for name, m := range s.maps {
		m.onDisk = m.onDisk && !strings.Contains(s.config.file, MapsDir+"/"+name)
		if !m.onDisk {
			m.memory = parseFile(m.file)
		}
	}
	s.config.run()
}

// now is the time by the node's clock.
func (s *Server) now() time.Time { return s.settings.Now().Add(s.skew) }

// SetStarted moves the running worker's start, by the node's clock.
func (s *Server) SetStarted(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = at
}

// SetDown stops HAProxy, while the API goes on, or lets the same worker answer again.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// Skew sets the node's clock that far ahead of Settings.Now.
func (s *Server) Skew(ahead time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = ahead
}

// parseFile reads a map file as HAProxy does.
func parseFile(text string) []Entry {
	var entries []Entry
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		entries = append(entries, Entry{Key: key, Value: strings.TrimSpace(value)})
	}
	return entries
}
