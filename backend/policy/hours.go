package policy

import "time"

// covers reports whether the moment is within the hours, by the clock on the wall of their zone. Hours over midnight
// belong to the day on which they begin.
func (h *hoursSpec) covers(at time.Time) bool {
	local := at.In(h.location)
	minute := 60*local.Hour() + local.Minute()
	day := local.Weekday()
	if h.From < h.To {
		return h.Days[day] && h.From <= minute && minute < h.To
	}
	yesterday := (day + 6) % 7
	return h.Days[day] && h.From <= minute || h.Days[yesterday] && minute < h.To
}
