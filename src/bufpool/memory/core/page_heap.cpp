// The page heap: extents are acquired, released, split and merged; pages are committed and purged.
#include "page_heap.hpp"

#include <initializer_list>

#include "bufpool/_core/size_classes.hpp"

namespace bufpool {

namespace {

constexpr std::size_t kFirstReserve = std::size_t{1} << 30;              // bytes
constexpr std::size_t kLargeReserve = std::size_t{64} << 30;
constexpr std::size_t kLeastReserve = std::size_t{64} << 20;

unsigned bits_in(unsigned word) noexcept {                               // of 16
    word -= (word >> 1) & 0x5555u;
    word = (word & 0x3333u) + ((word >> 2) & 0x3333u);
    word = (word + (word >> 4)) & 0x0F0Fu;
    return (word + (word >> 8)) & 0x1Fu;
}

// The pages of one granule that [first, last) covers, both counted from the granule's start; they may lie outside.
std::uint16_t page_mask(std::ptrdiff_t first, std::ptrdiff_t last) noexcept {
    const std::ptrdiff_t from = first < 0 ? 0 : first;
    const std::ptrdiff_t to = last > std::ptrdiff_t{kGranulePages} ? std::ptrdiff_t{kGranulePages} : last;
    if (from >= to) return 0;
    return static_cast<std::uint16_t>(((1u << (to - from)) - 1u) << from);
}

}  // namespace

void PageHeap::configure(const Upstream& upstream) noexcept {
    if (count_ == 0) warm_ = cold_ = kNil;
    upstream_ = upstream;
    degraded_ = 0;
    moves_ = (upstream.pages == Pages::plain || upstream.pages == Pages::huge_advised) && !upstream.lock;
}

std::uint32_t PageHeap::id_of(const char* address) const noexcept {
    for (unsigned i = 0;; ++i) {
        const std::size_t offset = reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(reserves_[i].base);
        if (offset / kRegionAlign < reserves_[i].granules) {
            return (i << kReserveBits) | static_cast<std::uint32_t>(offset / kRegionAlign);
        }
    }
}

std::uint32_t PageHeap::resident_pages(std::uint32_t id, std::uint32_t granules) const noexcept {
    const Row* const first = &row(id);
    std::uint32_t pages = 0;
    for (std::uint32_t i = 0; i < granules; ++i) pages += bits_in(first[i].resident);
    return pages;
}

// --- free extents -------------------------------------------------------------------------------------------------

void PageHeap::mark_head(std::uint32_t id, bool set) noexcept {
    Reserve& reserve = reserves_[id >> kReserveBits];
    const std::uint32_t local = id & kLocal;
    std::uint64_t& word = reserve.heads[local / 64];
    std::uint64_t& summary = reserve.summary[local / 4096];
    const std::uint64_t bit = std::uint64_t{1} << (local % 64);
    word = set ? word | bit : word & ~bit;
    const std::uint64_t summary_bit = std::uint64_t{1} << (local / 64 % 64);
    summary = word != 0 ? summary | summary_bit : summary & ~summary_bit;
}

// The free extent with resident pages that begins last before `below`, or kNil.
std::uint32_t PageHeap::highest_head(std::uint32_t below) const noexcept {
    for (unsigned i = count_; i-- > 0;) {
        const Reserve& reserve = reserves_[i];
        std::uint32_t end = reserve.granules;
        if (i == below >> kReserveBits && (below & kLocal) < end) end = below & kLocal;
        if (i > below >> kReserveBits || end == 0) continue;
        // Only a part of the word in which the search begins counts; the words below it are found by the summary.
        std::uint32_t word = (end - 1) / 64;
        std::uint64_t bits = reserve.heads[word] & (~std::uint64_t{0} >> (63 - (end - 1) % 64));
        while (bits == 0 && word > 0) {
            const std::uint32_t at = word - 1;
            const std::uint64_t words = reserve.summary[at / 64] & (~std::uint64_t{0} >> (63 - at % 64));
            if (words == 0) {
                word = at / 64 * 64;
                continue;
            }
            word = at / 64 * 64 + floor_log2(words);
            bits = reserve.heads[word];
        }
        if (bits != 0) return (i << kReserveBits) | (word * 64 + floor_log2(bits));
    }
    return kNil;
}

void PageHeap::link(std::uint32_t id, std::uint32_t length, std::uint32_t pages) noexcept {
    Row* const first = &row(id);
    first[length - 1].length = length;
    first->length = length;
    first->pages = pages;
    insert(tree_of(length, pages), id);
    if (pages == 0) return;
    idle_ += std::uint64_t{pages} * kPage;
    mark_head(id, true);
}

void PageHeap::unlink(std::uint32_t id) noexcept {
    Row* const first = &row(id);
    const std::uint32_t length = first->length;
    erase(tree_of(length, first->pages), id);
    first[length - 1].length = 0;
    first->length = 0;
    if (first->pages == 0) return;
    idle_ -= std::uint64_t{first->pages} * kPage;
    mark_head(id, false);
}

bool PageHeap::acquire(std::size_t bytes, std::size_t alignment, bool warm, Extent& out) noexcept {
    if (upstream_.pages == Pages::huge_explicit) bytes = (bytes + kHugePage - 1) & ~(kHugePage - 1);
    if (bytes > std::size_t{kLocal} * kRegionAlign / 2) return false;
    const std::uint32_t want = granules_of(bytes);
    if (!recycles()) {
        out.bytes = std::size_t{want} * kRegionAlign;
        out.start = warm ? nullptr : malloc_extent(out.bytes, alignment);
        if (out.start != nullptr) resident_ += out.bytes;
        return out.start != nullptr;
    }
    const std::uint32_t slack = alignment > kRegionAlign ? granules_of(alignment - kRegionAlign) : 0;
    const std::uint32_t id = at_least(warm ? warm_ : cold_, want + slack);
    if (id == kNil) return false;
    const std::uint32_t length = row(id).length, pages = row(id).pages;
    unlink(id);
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(address_of(id));
    const std::uint32_t head = static_cast<std::uint32_t>((-address & (alignment - 1)) / kRegionAlign);
    const std::uint32_t head_pages = resident_pages(id, head);
    if (head != 0) link(id, head, head_pages);
    const std::uint32_t rest = length - head - want;
    if (rest != 0) link(id + head + want, rest, pages - head_pages - resident_pages(id + head, want));
    out.start = address_of(id + head);
    out.bytes = std::size_t{want} * kRegionAlign;
    return true;
}

void PageHeap::release(Extent extent, std::uint32_t now) noexcept {
    if (!recycles()) {
        resident_ -= extent.bytes;
        return free_extent(upstream_, extent.start, extent.bytes);
    }
    std::uint32_t id = id_of(extent.start);
    std::uint32_t length = granules_of(extent.bytes);
    Row* const first = &row(id);
    std::uint32_t pages = 0;
    for (std::uint32_t i = 0; i < length; ++i) {
        if (first[i].resident == 0) continue;
        pages += bits_in(first[i].resident);
        first[i].stamp = now;
    }
    const std::uint32_t behind = first[length].length;
    if (behind != 0) {
        pages += row(id + length).pages;
        unlink(id + length);
        length += behind;
    }
    const std::uint32_t ahead = first[-1].length;
    if (ahead != 0) {
        id -= ahead;
        pages += row(id).pages;
        unlink(id);
        length += ahead;
    }
    link(id, length, pages);
}

bool PageHeap::extend(Extent& extent, std::size_t bytes) noexcept {
    if (!recycles()) return false;
    if (upstream_.pages == Pages::huge_explicit) bytes = (bytes + kHugePage - 1) & ~(kHugePage - 1);
    const std::uint32_t id = id_of(extent.start);
    const std::uint32_t length = granules_of(extent.bytes), want = granules_of(bytes);
    const std::uint32_t behind = (&row(id))[length].length;
    if (behind < want) return false;
    const std::uint32_t pages = row(id + length).pages;
    unlink(id + length);
    if (behind != want) link(id + length + want, behind - want, pages - resident_pages(id + length, want));
    extent.bytes += std::size_t{want} * kRegionAlign;
    return true;
}

void PageHeap::shorten(Extent& extent, std::size_t bytes, std::uint32_t now) noexcept {
    if (!recycles()) return;
    if (upstream_.pages == Pages::huge_explicit) bytes = (bytes + kHugePage - 1) & ~(kHugePage - 1);
    const std::size_t kept = std::size_t{granules_of(bytes)} * kRegionAlign;
    if (kept >= extent.bytes) return;
    release(Extent{extent.start + kept, extent.bytes - kept}, now);
    extent.bytes = kept;
}

bool PageHeap::reserve(std::size_t bytes, std::size_t alignment) noexcept {
    if (!recycles()) return false;
    unsigned slot = 0;
    while (slot < count_ && reserves_[slot].base != nullptr) ++slot;
    if (slot == kReserves) return false;
    std::size_t least = bytes + (alignment > kRegionAlign ? alignment : 0);
    const std::size_t needed = (least + kHugePage - 1) & ~(kHugePage - 1);
    least = needed < kLeastReserve ? kLeastReserve : needed;
    if (least > std::size_t{kLocal} * kRegionAlign) return false;
    std::size_t size = count_ < 6 ? kFirstReserve << count_ : kLargeReserve;
    if (size < least) size = least;
    // A process may have few addresses (RLIMIT_AS): then reserve less, in the end only what is needed now.
    char* base = reserve_space(size);
    for (; base == nullptr && size > least; base = reserve_space(size)) size = size / 2 < least ? least : size / 2;
    if (base == nullptr && size > needed) base = reserve_space(size = needed);
    if (base == nullptr) return false;
    const std::uint32_t granules = granules_of(size);
    const std::size_t words = granules / 64 + 1, summaries = granules / 4096 + 1;
    const Region table = map_records((words + summaries) * 8 + (std::size_t{granules} + 2) * sizeof(Row));
    if (table.start == nullptr) {
        release_space(base, size);
        return false;
    }
    Reserve& reserve = reserves_[slot];
    reserve.base = base;
    reserve.heads = static_cast<std::uint64_t*>(table.start);             // zero-filled
    reserve.summary = reserve.heads + words;
    reserve.rows = reinterpret_cast<Row*>(reserve.summary + summaries) + 1;
    reserve.granules = granules;
    reserve.accessible = 0;
    reserve.table = table;
    if (slot == count_) ++count_;
    link(slot << kReserveBits, granules, 0);
    return true;
}

bool PageHeap::release_spaces() noexcept {
    bool any = false;
    for (unsigned i = 0; i < count_; ++i) {
        Reserve& reserve = reserves_[i];
        const std::uint32_t id = i << kReserveBits;
        if (reserve.base == nullptr || row(id).length != reserve.granules) continue;
        resident_ -= std::uint64_t{row(id).pages} * kPage;
        accessible_ -= std::uint64_t{reserve.accessible} * kRegionAlign;
        for (std::uint32_t piece = 0; piece < reserve.granules; piece += kPieceGranules) {
            if (row(id + piece).moved != 0) moved_.sub_relaxed(1);
        }
        unlink(id);
        release_space(reserve.base, std::size_t{reserve.granules} * kRegionAlign);
        unmap_records(reserve.table);
        reserve = Reserve{};
        any = true;
    }
    return any;
}

// --- pages --------------------------------------------------------------------------------------------------------

std::uint64_t PageHeap::nonresident(const char* start, std::size_t bytes) const noexcept {
    if (!recycles()) return 0;   // all of it counts as resident, and is not known to be zeros
    const std::uint32_t id = id_of(start);
    const char* const base = address_of(id);
    std::ptrdiff_t first = (start - base) / std::ptrdiff_t{kPage};
    std::ptrdiff_t last = (start + bytes - base + std::ptrdiff_t{kPage} - 1) / std::ptrdiff_t{kPage};
    std::uint64_t pages = 0;
    for (const Row* each = &row(id); last > 0; ++each, first -= kGranulePages, last -= kGranulePages) {
        pages += bits_in(page_mask(first, last) & ~unsigned{each->resident});
    }
    return pages * kPage;
}

// Advises huge pages where the range covers them whole, unless that was advised before.
void PageHeap::advise(std::uint32_t id, std::uint32_t granules) noexcept {
    const std::uint32_t end = id + granules;
    std::uint32_t piece = (id + kPieceGranules - 1) / kPieceGranules * kPieceGranules;
    while (piece + kPieceGranules <= end) {
        if (row(piece).huge != 0) {
            piece += kPieceGranules;
            continue;
        }
        std::uint32_t last = piece;
        for (; last + kPieceGranules <= end && row(last).huge == 0; last += kPieceGranules) row(last).huge = 1;
        advise_huge(address_of(piece), std::size_t{last - piece} * kRegionAlign);
        piece = last;
    }
}

// Withdraws the advice where the range covers only a part of a huge page without memory: one write would commit all of it.
void PageHeap::advise_against(std::uint32_t id, std::uint32_t granules) noexcept {
    const std::uint32_t first = id / kPieceGranules * kPieceGranules, last = (id + granules - 1) / kPieceGranules * kPieceGranules;
    for (std::uint32_t piece : {first, last}) {
        const bool whole = piece >= id && piece + kPieceGranules <= id + granules;
        if (whole || row(piece).huge == 0 || resident_pages(piece, kPieceGranules) != 0) continue;
        advise_small(address_of(piece), kHugePage);
        row(piece).huge = 0;
    }
}

// Makes the granules accessible, and all before them. False: the system refuses.
bool PageHeap::make_accessible(std::uint32_t id, std::uint32_t granules) noexcept {
    Reserve& reserve = reserves_[id >> kReserveBits];
    if (reserve.accessible < (id & kLocal) + granules) {
        // Whole huge pages, so that neighbours may be advised together.
        std::uint32_t until = ((id & kLocal) + granules + kPieceGranules - 1) / kPieceGranules * kPieceGranules;
        if (until > reserve.granules) until = reserve.granules;
        char* const from = reserve.base + std::size_t{reserve.accessible} * kRegionAlign;
        if (!allow_access(from, std::size_t{until - reserve.accessible} * kRegionAlign)) return false;
        accessible_ += std::uint64_t{until - reserve.accessible} * kRegionAlign;
        reserve.accessible = until;
    }
    return true;
}

void PageHeap::commit_last_huge_page(Extent extent, std::uint32_t now) noexcept {
    if (upstream_.pages != Pages::huge_advised || upstream_.lock || upstream_.prefault || !has_huge_pages()) return;
    const std::uint32_t id = id_of(extent.start), end = id + granules_of(extent.bytes);
    const std::uint32_t piece = (end - 1) / kPieceGranules * kPieceGranules, rest = piece + kPieceGranules - end;
    const std::uint32_t length = row(end).length;          // of the free extent behind
    if (piece < id || length < rest || resident_pages(piece, kPieceGranules) != 0) return;
    if (!make_accessible(piece, kPieceGranules)) return;
    advise(piece, kPieceGranules);
    const std::uint32_t pages = row(end).pages;
    if (rest != 0) unlink(end);
    Row* const rows = &row(piece);
    for (std::uint32_t i = 0; i < kPieceGranules; ++i) {
        rows[i].resident = 0xFFFFu;
        rows[i].stamp = now;
    }
    resident_ += kHugePage;
    if (rest != 0) link(end, length, pages + rest * kGranulePages);
}

MapResult PageHeap::commit_pages(char* start, std::size_t bytes, bool huge) noexcept {
    if (!recycles()) {
        bool degraded = false;
        return upstream_.lock || upstream_.prefault ? commit(upstream_, start, bytes, degraded) : MapResult::ok;
    }
    const bool explicit_huge = upstream_.pages == Pages::huge_explicit;
    if (explicit_huge) {
        char* const end = start + bytes;
        start -= reinterpret_cast<std::uintptr_t>(start) & (kHugePage - 1);
        bytes = (static_cast<std::size_t>(end - start) + kHugePage - 1) & ~(kHugePage - 1);
    }
    const std::uint32_t id = id_of(start);
    char* const base = address_of(id);
    const std::uint32_t granules = granules_of(static_cast<std::size_t>(start - base) + bytes);
    if (!make_accessible(id, granules)) return MapResult::no_memory;
    if (upstream_.pages == Pages::huge_advised) {
        if (huge) advise(id, granules);
        advise_against(id, granules);
    }
    std::ptrdiff_t first = (start - base) / std::ptrdiff_t{kPage};
    std::ptrdiff_t last = (start + bytes - base + std::ptrdiff_t{kPage} - 1) / std::ptrdiff_t{kPage};
    Row* each = &row(id);
    if (kCommitsPages || explicit_huge || upstream_.lock || upstream_.prefault) {
        for (std::uint32_t i = 0; i < granules; ++i) {
            const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(i * kGranulePages);
            const unsigned mask = page_mask(first - at, last - at) & ~unsigned{each[i].resident};
            for (unsigned page = 0; page < kGranulePages;) {
                if ((mask >> page & 1) == 0) {
                    ++page;
                    continue;
                }
                // A run of pages that are to become resident; of whole granules as many as there are.
                std::uint32_t whole = 0;
                unsigned until = page;
                while (until < kGranulePages && (mask >> until & 1) != 0) ++until;
                if (page == 0 && until == kGranulePages) {
                    for (whole = 1; i + whole < granules && each[i + whole].resident == 0; ++whole) {
                        const std::ptrdiff_t next = at + static_cast<std::ptrdiff_t>(whole * kGranulePages);
                        if (page_mask(first - next, last - next) != 0xFFFFu) break;
                    }
                }
                const std::size_t run = whole != 0 ? whole * kRegionAlign : (until - page) * kPage;
                bool degraded = false;
                const MapResult result =
                    commit(upstream_, base + i * kRegionAlign + page * kPage, run, degraded);
                if (result != MapResult::ok) return result;
                if (degraded) ++degraded_;
                if (whole != 0) {
                    for (std::uint32_t k = 0; k < whole; ++k) each[i + k].resident = 0xFFFFu;
                    resident_ += std::uint64_t{whole} * kRegionAlign;
                    i += whole - 1;
                    break;
                }
                each[i].resident = static_cast<std::uint16_t>(each[i].resident | (((1u << (until - page)) - 1u) << page));
                resident_ += std::uint64_t{until - page} * kPage;
                page = until;
            }
        }
        return MapResult::ok;
    }
    std::uint64_t pages = 0;
    for (; last > 0; ++each, first -= kGranulePages, last -= kGranulePages) {
        const unsigned mask = page_mask(first, last);
        pages += bits_in(mask & ~unsigned{each->resident});
        each->resident = static_cast<std::uint16_t>(each->resident | mask);
    }
    resident_ += pages * kPage;
    return MapResult::ok;
}

std::uint64_t PageHeap::purge_inside(char* start, std::size_t bytes) noexcept {
    if (!recycles()) return 0;
    const std::size_t unit = upstream_.pages == Pages::huge_explicit ? kHugePage : kPage;
    char* const from = start + (-reinterpret_cast<std::uintptr_t>(start) & (unit - 1));
    char* const end = start + bytes;
    char* const to = end - (reinterpret_cast<std::uintptr_t>(end) & (unit - 1));
    if (from >= to) return 0;
    const std::uint64_t was = static_cast<std::uint64_t>(to - from) - nonresident(from, static_cast<std::size_t>(to - from));
    if (was == 0 || !decommit(upstream_, from, static_cast<std::size_t>(to - from))) return 0;
    const std::uint32_t id = id_of(from);
    const char* const base = address_of(id);
    std::ptrdiff_t first = (from - base) / std::ptrdiff_t{kPage}, last = (to - base) / std::ptrdiff_t{kPage};
    for (Row* each = &row(id); last > 0; ++each, first -= kGranulePages, last -= kGranulePages) {
        each->resident = static_cast<std::uint16_t>(each->resident & ~unsigned{page_mask(first, last)});
    }
    resident_ -= was;
    return was;
}

// Purges a run of granules of a free extent that is not linked at the moment. Returns the bytes that were resident; 0 if the
// system refuses.
std::uint64_t PageHeap::purge_run(std::uint32_t id, std::uint32_t granules) noexcept {
    std::uint32_t first = id, last = id + granules;
    if (upstream_.pages == Pages::huge_advised) {
        // A huge page has memory also where pages do not count as resident: such pages beside the run are purged too.
        while (first % kPieceGranules != 0 && row(first - 1).resident == 0) --first;
        while (last % kPieceGranules != 0 && row(last).resident == 0) ++last;
    }
    if (!decommit(upstream_, address_of(first), std::size_t{last - first} * kRegionAlign)) return 0;
    const std::uint64_t bytes = std::uint64_t{resident_pages(id, granules)} * kPage;
    Row* const rows = &row(id);
    for (std::uint32_t i = 0; i < granules; ++i) rows[i].resident = 0;
    resident_ -= bytes;
    for (std::uint32_t piece = first / kPieceGranules * kPieceGranules; piece < last; piece += kPieceGranules) {
        if (row(piece).moved != 0 && resident_pages(piece, kPieceGranules) == 0) join(piece);
    }
    return bytes;
}

std::uint64_t PageHeap::purge(std::uint64_t bytes) noexcept {
    std::uint64_t freed = 0;
    for (std::uint32_t below = kNil; freed < bytes;) {
        const std::uint32_t id = highest_head(below);
        if (id == kNil) break;
        below = id;
        const std::uint32_t length = row(id).length;
        std::uint32_t pages = row(id).pages;
        unlink(id);
        Row* const rows = &row(id);
        for (std::uint32_t end = length; end > 0 && freed < bytes;) {
            if (rows[end - 1].resident == 0) {
                --end;
                continue;
            }
            std::uint32_t begin = end;
            std::uint64_t run = 0;
            while (begin > 0 && rows[begin - 1].resident != 0 && (freed + run < bytes || !may_split(id + begin))) {
                run += bits_in(rows[--begin].resident) * kPage;
            }
            const std::uint64_t gone = purge_run(id + begin, end - begin);
            pages -= static_cast<std::uint32_t>(gone / kPage);
            freed += gone;
            end = begin;
        }
        link(id, length, pages);
    }
    return freed;
}

std::uint64_t PageHeap::purge_older(std::uint32_t then, std::uint64_t keep) noexcept {
    std::uint64_t freed = 0;
    for (std::uint32_t id = highest_head(kNil); id != kNil && idle_ > keep; id = highest_head(id)) {
        const std::uint32_t length = row(id).length;
        std::uint32_t pages = row(id).pages;
        std::uint64_t left = idle_ - keep;               // to purge at most
        unlink(id);
        Row* const rows = &row(id);
        const auto goes = [&](std::uint32_t i) {
            return rows[i].resident != 0 && static_cast<std::int32_t>(rows[i].stamp - then) <= 0;
        };
        for (std::uint32_t end = length; end > 0 && left > 0;) {
            if (!goes(end - 1)) {
                --end;
                continue;
            }
            std::uint32_t begin = end;
            std::uint64_t run = 0;
            while (begin > 0 && goes(begin - 1) && (run < left || !may_split(id + begin))) run += bits_in(rows[--begin].resident) * kPage;
            const std::uint64_t gone = purge_run(id + begin, end - begin);
            pages -= static_cast<std::uint32_t>(gone / kPage);
            freed += gone;
            left -= gone < left ? gone : left;
            end = begin;
        }
        link(id, length, pages);
    }
    return freed;
}

}  // namespace bufpool
