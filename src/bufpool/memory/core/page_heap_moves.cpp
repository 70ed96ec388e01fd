// The page heap: idle pages move to where they are needed.
//
// A block of a new size may find no warm extent although smaller ones are idle. Their pages can still serve it: mremap moves
// them, a piece of 2 MiB at a time. Linux moves entries of the page table and copies nothing. Mesh (Powers and others 2019)
// also changes the pages behind addresses, to compact small objects.
//
// A piece that moved is a map of its own, and a process may have few maps. So the number of such pieces is bounded, and one
// that is purged or moves on joins its neighbours again.
#include "page_heap.hpp"

namespace bufpool {

namespace {

constexpr std::uint32_t kMostMoved = 8192;           // pieces of the process, two maps each: a quarter of Linux's default
constexpr unsigned kMostLooked = 1024;               // free extents searched for idle pieces

}  // namespace

Atomic<std::uint32_t> PageHeap::moved_, PageHeap::refused_;

// Moves a whole piece.
Move PageHeap::move_piece(std::uint32_t from, std::uint32_t to) noexcept {
    const bool more = row(to).moved == 0;
    if (more && moved_.load_relaxed() >= kMostMoved) return Move::refused;
    const Move result = move_pages(address_of(from), address_of(to), kHugePage);
    if (result != Move::done) {
        refused_.store_relaxed(1);
        return result;
    }
    if (more) moved_.add_relaxed(1);
    row(to).moved = 1;
    row(to).huge = row(from).huge;
    for (std::uint32_t i = 0; i < kPieceGranules; ++i) {
        row(from + i).resident = 0;
        row(to + i).resident = 0xFFFFu;
    }
    if (row(from).moved != 0) moved_.sub_relaxed(1);
    row(from).moved = 0;
    if (row(from).huge != 0) advise_huge(address_of(from), kHugePage);   // maps with different advice stay apart
    return Move::done;
}

// Makes a piece without resident pages one map with its neighbours.
void PageHeap::join(std::uint32_t piece) noexcept {
    join_maps(address_of(piece), kHugePage);
    if (row(piece).huge != 0) advise_huge(address_of(piece), kHugePage);
    row(piece).moved = 0;
    moved_.sub_relaxed(1);
}

bool PageHeap::move_in(Extent extent) noexcept {
    if (!may_move() || idle_ < kHugePage) return true;
    const std::uint32_t first = id_of(extent.start), until = first + granules_of(extent.bytes);
    if (!make_accessible(first, until - first)) return true;
    std::uint32_t to = (first + kPieceGranules - 1) / kPieceGranules * kPieceGranules;
    const auto next = [&] {   // the first piece from here on that has no resident page
        while (to + kPieceGranules <= until && resident_pages(to, kPieceGranules) != 0) to += kPieceGranules;
        return to + kPieceGranules <= until;
    };
    bool wanted = next();
    Move result = Move::done;
    std::uint32_t id = highest_head(kNil);
    for (unsigned looked = 0; wanted && id != kNil && looked < kMostLooked; id = highest_head(id), ++looked) {
        const std::uint32_t length = row(id).length;
        std::uint32_t pages = row(id).pages;
        if (pages < kPiecePages) continue;
        unlink(id);
        std::uint32_t from = (id + length) / kPieceGranules * kPieceGranules;
        while (wanted && from >= id + kPieceGranules) {
            from -= kPieceGranules;
            if (resident_pages(from, kPieceGranules) != kPiecePages) continue;
            result = move_piece(from, to);
            if (result == Move::done) pages -= kPiecePages;
            wanted = result == Move::done && next();
        }
        link(id, length, pages);
    }
    if (result != Move::lost) return true;
    // The rest of the extent is still ours: its pages are purged, but its addresses are never used again.
    for (std::uint32_t granule = first; granule < until; ++granule) {
        if (granule - to >= kPieceGranules) purge_inside(address_of(granule), kRegionAlign);
    }
    return false;
}

}  // namespace bufpool
