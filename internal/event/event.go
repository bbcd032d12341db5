package event

import "time"

// Event is one thing that happened: one of the types of this package. The type says by
// the tag of what it embeds first how the event is called, and by that how much an
// operator is to care; by the tags of its fields how those are called.
type Event interface{ severity() Severity }

// Severity is how much an operator is to care about an event.
type Severity uint8

// The severities.
const (
	Info    Severity = iota // the course of things
	Warning                 // somebody does not get what he wants, or will not soon
	Error                   // something does not work
)

// Record is an event with when it happened.
type Record struct {
	Sequence uint64 // 1 for the first since the start, without holes
	At       time.Time
	Event    Event
}

// info, warning and failure are embedded by the events of each severity.
type (
	info    struct{}
	warning struct{}
	failure struct{}
)

func (info) severity() Severity    { return Info }
func (warning) severity() Severity { return Warning }
func (failure) severity() Severity { return Error }

// All is one of each type of Event, empty.
func All() []Event {
	return []Event{
		PeerUp{}, PeerMoved{}, PeerDown{}, PeersIdle{}, IKERefused{}, IKERefusedUntold{},
		SARefused{}, SAWorn{}, RekeyRefused{}, RouteRefused{}, LinkRefused{},
		LoginRefused{}, LoginsThrottled{}, BruteForceSeen{}, SprayingSeen{},
		Banned{}, Unbanned{}, BanExpired{}, BansUntold{}, BansLost{}, BansNotSaved{}, FeedRead{}, FeedRefused{}, FeedLinesSkipped{},
		SessionUp{}, SessionIPv6{}, NoPrefix{}, SessionDown{},
		ClientRedirected{}, ClientsRedirected{},
		Serving{}, LeftBehind{}, Stopped{}, ReceiveBufferSmall{}, NoOffload{}, ConfigurationApplied{}, RestartNeeded{}, FilesRefused{},
		CertificateExpired{}, CRLRead{}, CRLRefused{}, LeasesLost{}, LeasesNotSaved{},
		SessionsOutside{}, PoolNearlyFull{}, PoolFull{}, PoolHasRoom{},
		Dropped{}, FlowDenied{}, RulesMissing{}, FlowAllowed{}, FlowsUntold{}, LimitHit{}, Fault{},
	}
}
