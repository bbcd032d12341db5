package tenant

import "errors"

// Errors of pools.
var (
	// ErrPrefix says that a pool's prefixes cannot be used; the text around it
	// says which and why.
	ErrPrefix = errors.New("tenant: bad pool prefix")
	// ErrStatic says that a static lease cannot be kept.
	ErrStatic = errors.New("tenant: bad static lease")
	// ErrExhausted says that every address of the pool is leased.
	ErrExhausted = errors.New("tenant: no address left in the pool")
	// ErrTaken says that an address that is to be static is leased to another.
	ErrTaken = errors.New("tenant: another has the address")
	// ErrOwner says that an owner has no name.
	ErrOwner = errors.New("tenant: lease without an owner")
)

// Errors of selection.
var (
	// ErrNames says that the tenants' names or realms contradict each other.
	ErrNames = errors.New("tenant: bad names")
	// ErrLogin says that a login name is empty, too long or not printable.
	ErrLogin = errors.New("tenant: malformed login name")
	// ErrNoTenant says that a login names no realm and no tenant is the
	// default.
	ErrNoTenant = errors.New("tenant: login names no realm and there is no default tenant")
	// ErrOtherTenant says that a login names the realm of a tenant whose key
	// the client did not show.
	ErrOtherTenant = errors.New("tenant: login names another tenant's realm")
	// ErrAmbiguous says that a login names the realms of two tenants.
	ErrAmbiguous = errors.New("tenant: login names two realms")
)
