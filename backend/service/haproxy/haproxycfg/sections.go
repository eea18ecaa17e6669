package haproxycfg

// SectionNames are the names of all sections that the enforcement part ever has, with every setting. No pool's backend may
// have one of them: whatever bears such a name in a haproxy.cfg is ours.
func SectionNames() []string { return []string{frontendName, deniedName, sessionsName, signaturesName} }
