"""What the engine does to the object that a checkout holds, before a client gets it and after it came back."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from bufpool._core.clock cimport coarse_ns
from bufpool.objects.core.object_pool cimport IdleFilter, ObjectNode, ReleaseResult, kNone, kOwned
from bufpool.objects.native._checkout cimport ENDED, HELD, SLOT, Checkout, CheckoutState
from bufpool.objects.native._pool_state cimport PoolCore

from bufpool.errors import FactoryError

cdef uint64_t FOREVER = <uint64_t>-1   # ns on the coarse clock
cdef uint64_t FRESH = 1000000000       # ns


cdef int need(Checkout checkout, CheckoutState state) except -1:
    """Refuse a call that the engine never makes: the checkout has no object, or no slot, to work on."""
    if checkout.state != state:
        raise RuntimeError(f"the checkout has no {'object' if state == HELD else 'slot'}")
    return 0


cdef ObjectNode* node_of(Checkout checkout) except? NULL:
    """Return the node of the object; NULL if a callback has forked, and the object is the parent's."""
    need(checkout, HELD)
    if checkout.from_parent_process():
        return NULL
    return &checkout.core.pool.table[checkout.index]


def install(Checkout checkout not None, item, uint64_t lifetime, uint32_t drain_count, bint for_others=False):
    """Put a new object into the slot, for a lifetime in nanoseconds; 0: no end. The checkout holds it then.

    `for_others`: it is not for the client of this checkout, and `release_new` comes next.
    """
    cdef PoolCore core = checkout.core
    need(checkout, SLOT)
    if item is None:
        raise FactoryError(f"pool {core.name!r}: the factory returned None, which is no object to pool")
    if checkout.from_parent_process():
        checkout.add_extra_slot()              # the factory has forked, and this is the child
    cdef uint32_t index = core.pool.install(<void*>item, checkout.extra, for_others)
    if index == kOwned:
        raise FactoryError(
            f"pool {core.name!r}: the factory returned an object that the pool has already: {core.engine.show(item)}"
        )
    if index == kNone:
        raise MemoryError(f"pool {core.name!r}: no memory for another object")
    cdef ObjectNode* node = &core.pool.table[index]
    cdef uint64_t now = coarse_ns()
    node.checked = now
    node.since.store_relaxed(now)
    node.expires = FOREVER if lifetime == 0 or lifetime > FOREVER - now else now + lifetime
    node.drain_count = drain_count
    checkout.hold(index, False)
    core.owned[index] = item


def begin_callback(Checkout checkout not None):
    """Return the object for a callback. Until `end_callback` it is not fit for a client."""
    cdef ObjectNode* node = node_of(checkout)
    if node == NULL:
        raise RuntimeError("the object belongs to the parent of this process")
    checkout.touched = True
    return <object>node.address


def end_callback(Checkout checkout not None):
    """Note that the callback returned, and that the object is sound."""
    cdef ObjectNode* node = node_of(checkout)
    checkout.touched = False
    if node != NULL:
        node.checked = coarse_ns()


def overdue(Checkout checkout not None):
    """Return why an object must not go out any more, or an empty string."""
    cdef ObjectNode* node = node_of(checkout)
    if node == NULL:
        return ""
    if node.drain_count != checkout.core.drain_count:
        return "drained"
    cdef PoolCore core = checkout.core
    cdef uint64_t now = coarse_ns()
    if now >= node.expires:
        return "max_lifetime"
    return "max_idle" if core.is_stale(node, now) and core.size > core.engine.min_size else ""


def needs_check(Checkout checkout not None):
    """Return whether an object must be checked before it goes out."""
    cdef ObjectNode* node = node_of(checkout)
    cdef PoolCore core = checkout.core
    return node != NULL and core.needs_check(node, coarse_ns())


def end_of_life(Checkout checkout not None):
    """Return why an object that comes back must be closed, or an empty string."""
    cdef ObjectNode* node = node_of(checkout)
    cdef PoolCore core = checkout.core
    if core.state().closed():
        return "closed"
    if node == NULL:
        return ""
    if node.drain_count != core.drain_count:
        return "drained"
    if node.extra:
        return "resized" if checkout.surplus else "overflow"
    if core.max_uses != 0 and node.uses.load_relaxed() >= core.max_uses:
        return "max_uses"
    return "max_lifetime" if coarse_ns() >= node.expires else ""


cdef enum Release:
    USED
    UNUSED
    UNTOUCHED


cdef str give_back(Checkout checkout, Release kind):
    cdef PoolCore core = checkout.core
    cdef uint32_t index = checkout.index
    cdef ReleaseResult result
    need(checkout, HELD)
    if checkout.from_parent_process():
        checkout.release_all()
        return ""
    # Perhaps while a callback had it.
    if core.pool.table[index].drain_count != core.drain_count:
        return "drained"
    if core.pool.table[index].extra:
        return "overflow"
    if kind == UNUSED:
        result = core.pool.release_unused(index, False)
    elif kind == UNTOUCHED:
        result = core.pool.release_new(checkout.index)
    else:
        result = core.release(&checkout.index)
    if result == ReleaseResult.surplus:
        return "resized"
    if result == ReleaseResult.closed:
        return "closed"
    checkout.state = ENDED
    core.wake_waiters()
    return ""


def release(Checkout checkout not None):
    """Return the object to the pool, or return the reason why the pool does not keep it."""
    return give_back(checkout, USED)


def release_new(Checkout checkout not None):
    """Return a new object that no client has used, as `release`."""
    return give_back(checkout, UNTOUCHED)


def is_fresh(Checkout checkout not None):
    """Return whether the object was created within the last second, and no client has had it yet."""
    cdef ObjectNode* node = node_of(checkout)
    return (
        node != NULL
        and node.uses.load_relaxed() == 0
        and coarse_ns() < node.checked + FRESH
        and node.since.load_relaxed() >= checkout.core.distrusted
        and node.drain_count == checkout.core.drain_count
    )


def release_unused(Checkout checkout not None, *, bint checked=False, bint in_any_case=False):
    """Return an object that no client has used to its place among the idle ones, or return why it is not kept.

    With `in_any_case` the pool keeps it, and closes it later if that is due.
    """
    cdef ObjectNode* node = node_of(checkout)
    if checked and node != NULL:
        node.checked = coarse_ns()
    if node == NULL or not in_any_case:
        return give_back(checkout, UNUSED)
    checkout.core.pool.release_unused(checkout.index, True)
    checkout.state = ENDED
    checkout.core.wake_waiters()
    return ""


def remove(Checkout checkout not None):
    """Remove the object from the pool and return it; the checkout keeps the slot."""
    if node_of(checkout) == NULL:
        raise RuntimeError("the object belongs to the parent of this process")
    return checkout.remove_object()


def reclaim(PoolCore core not None, item):
    """Take an object from its client, through a lease or not; return its checkout, or None in a fork's child."""
    cdef uint32_t index = core.take_back(item, True)
    if index == kNone:
        return None
    cdef Checkout checkout = Checkout(core)
    checkout.hold(index, True)
    checkout.touched = True
    return checkout


def collect_idle(list checkouts not None, *, uint64_t idle_before=0, uint32_t most=0, uint64_t checked_before=0):
    """Give each of `checkouts`, new ones of one pool, an idle object for which it is time; return how many got one.

    Those are the objects that are expired or drained, the oldest `most` of those idle since before `idle_before`, and
    those not checked since `checked_before`.
    """
    cdef uint32_t room = <uint32_t>len(checkouts)
    cdef PoolCore core = (<Checkout?>checkouts[0]).core
    if core is None or any([(<Checkout?>checkout).core is not core for checkout in checkouts]):
        raise ValueError("the checkouts are not of one pool")
    cdef uint32_t* indices = <uint32_t*>malloc(room * sizeof(uint32_t))
    if indices == NULL:
        raise MemoryError()
    cdef IdleFilter which
    which.now = coarse_ns()
    which.idle_before = idle_before
    which.most = most
    which.checked_before = checked_before
    which.drain_count = core.drain_count
    cdef uint32_t found = core.state().collect_idle(which, indices, room)
    cdef uint32_t i
    for i in range(found):
        (<Checkout>checkouts[i]).hold(indices[i], False)
    free(indices)
    return found
