// The arena's slabs: made, recycled, and given to the classes that grow. All under the lock.
#include "arena_internal.hpp"

namespace bufpool {

// Gives the class a slab to grow in: on idle memory, or else on new memory.
Refusal Arena::start_slab(std::uint32_t c) noexcept {
    Slab* slab = recycle_slab(c);
    if (slab == nullptr) {
        slab = slab_without_extent(c, kMaxSlab);
        if (slab == nullptr) slab = add_slab(c, next_slab_bytes(c));
        if (slab == nullptr) return Refusal::no_memory;
        const std::size_t bytes = slab->bytes();
        const Refusal why = acquire_extent(slab, bytes, bytes >= kHugePage ? kHugePage : kRegionAlign);
        if (why != Refusal::none) return why;
    }
    classes[c].growing = slab;
    // A class that has many blocks fills its next slab soon.
    if (classes[c].existing.load_relaxed() * class_size(c) >= 8 * kHugePage && wants_whole_huge_pages()) {
        heap_.commit_last_huge_page(slab->extent, now_ms());
    }
    return Refusal::none;
}

// A slab on idle memory, as large as there is room for: an existing one without an extent, or a new one. If more than half of
// the bound on idle memory is idle, other classes release what they have idle between blocks in use. Null: there is no idle
// memory for a slab.
Slab* Arena::recycle_slab(std::uint32_t c) noexcept {
    const std::size_t least = 2 * stride_of(c) < kRegionAlign ? kRegionAlign : 2 * stride_of(c);
    Extent extent;
    for (bool swept : {false, true}) {
        if (swept && !sweep_other_classes(c)) return nullptr;
        for (std::size_t bytes = next_slab_bytes(c); bytes >= least; bytes = bytes / 2 & ~(kRegionAlign - 1)) {
            if (!heap_.acquire(bytes, kRegionAlign, true, extent)) continue;
            Slab* slab = slab_without_extent(c, bytes);
            if (slab == nullptr) slab = add_slab(c, bytes);
            if (slab == nullptr) {
                heap_.release(extent, now_ms());
                return nullptr;
            }
            heap_.shorten(extent, slab->bytes(), now_ms());
            return attach_extent(slab, extent) == Refusal::none ? slab : nullptr;
        }
    }
    return nullptr;
}

// The largest slab of the class that has no extent and needs at most so many bytes, or null.
Slab* Arena::slab_without_extent(std::uint32_t c, std::size_t bytes) noexcept {
    Slab* best = nullptr;
    for (Slab* slab = classes[c].slabs; slab != nullptr; slab = slab->next) {
        if (slab->extent.start != nullptr || slab->bytes() > bytes) continue;
        if (best == nullptr || slab->bytes() > best->bytes()) best = slab;
    }
    return best;
}

// Sweeps the other classes of small blocks. True: they released idle memory to the page heap. A class whose blocks in use pin
// most of it is left alone until twice as much is idle there.
bool Arena::sweep_other_classes(std::uint32_t c) noexcept {
    constexpr std::uint64_t kLeastIdle = std::uint64_t{1} << 20;
    if (charged_ + heap_.idle() <= counters.used.load_relaxed() + idle_bound() / 2) return false;
    const std::uint64_t before = heap_.idle();
    for (std::uint32_t other = kCachedClasses; other-- > 0;) {
        SizeClass& klass = classes[other];
        const std::uint64_t size = class_size(other), idle = klass.idle.size(nodes) * size;
        if (other == c || idle < kLeastIdle || idle < 2 * klass.stuck) continue;
        sweep_slabs(other, kNone, Sweep::granules, now_ms());
        klass.stuck = klass.idle.size(nodes) * size;
    }
    return heap_.idle() > before;
}

std::size_t Arena::stride_of(std::uint32_t c) const noexcept { return class_size(c) + gap_of(class_size(c), aligned_); }

// Each slab of a class is twice as large as the one before, but a small share of the limit.
std::size_t Arena::next_slab_bytes(std::uint32_t c) const noexcept {
    const std::size_t stride = stride_of(c);
    const std::uint64_t share = config.limit / 64;
    std::size_t bytes = stride * 2 > kRegionAlign ? stride * 2 : kRegionAlign;
    for (std::uint32_t i = 0; i < classes[c].generation && bytes * 2 <= kMaxSlab && bytes * 2 <= share; ++i) bytes *= 2;
    return (bytes + kRegionAlign - 1) & ~(kRegionAlign - 1);
}

Slab* Arena::add_slab(std::uint32_t c, std::size_t bytes) noexcept {
    SizeClass& klass = classes[c];
    const std::size_t stride = stride_of(c);
    Slab* const slab = make_slab(c, static_cast<std::uint32_t>(bytes / stride), stride);
    if (slab == nullptr) return nullptr;
    slab->next = klass.slabs;
    klass.slabs = slab;
    klass.generation += 1;
    return slab;
}

Slab* Arena::make_slab(std::uint32_t c, std::uint32_t blocks, std::size_t stride) noexcept {
    if (spare_count_ == 0) {
        const Region region = map_records(kRegionAlign);
        if (region.start == nullptr) return nullptr;
        spare_slabs_ = static_cast<Slab*>(region.start);
        spare_count_ = static_cast<std::uint32_t>(region.bytes / sizeof(Slab));
    }
    const std::uint32_t first = nodes.reserve(blocks);
    if (first == kNone) return nullptr;
    Slab* const slab = spare_slabs_++;
    --spare_count_;
    slab->arena = this;
    slab->class_index = c;
    slab->first_node = first;
    slab->blocks = blocks;
    slab->stride = stride;
    slab->reciprocal = stride == 0 ? 0 : ((std::uint64_t{1} << 48) + stride - 1) / stride;
    return slab;
}

}  // namespace bufpool
