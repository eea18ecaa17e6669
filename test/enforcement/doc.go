// Package enforcement tries the rendered configuration on a real HAProxy: hostile requests, each with the exact reason
// of its refusal, and good ones, with what the service gets to see. It has no code beside its tests.
package enforcement
