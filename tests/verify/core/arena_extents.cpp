// The page heap against a plain reference: random programs of takes, returns, growth, shrinkage, moves, touches and purges.
// After each step no two extents overlap, contents are kept, what is not resident is zero, neighbours are merged, each free
// extent is in the tree of its kind, and the sums are right.
#include "check.hpp"
#include "bufpool/memory/core/page_heap.hpp"
#include "bufpool/_core/size_classes.hpp"

#include <cstring>
#include <initializer_list>
#include <map>
#include <memory>
#include <new>
#include <vector>

namespace bufpool {

// A friend: it walks the rows, which is what no user of the heap may do.
struct PageHeapCheck {
    static void whole(PageHeap& heap, const std::map<char*, std::size_t>& taken) {
        std::uint64_t resident = 0, idle = 0, heads = 0;
        for (unsigned i = 0; i < heap.count_; ++i) {
            PageHeap::Reserve& reserve = heap.reserves_[i];
            if (reserve.base == nullptr) continue;
            bool was_free = false;
            for (std::uint32_t at = 0; at < reserve.granules;) {
                const std::uint32_t id = (i << PageHeap::kReserveBits) | at;
                PageHeap::Row& row = heap.row(id);
                std::uint32_t length = row.length;
                if (length != 0) {
                    CHECK(!was_free);                                        // else the two were one
                    CHECK(at + length <= reserve.granules && (&row)[length - 1].length == length);
                    const std::uint32_t pages = heap.resident_pages(id, length);
                    CHECK(pages == row.pages);
                    CHECK(contains(heap, heap.tree_of(length, pages), id));
                    idle += pages * std::uint64_t{kPage};
                    resident += pages * std::uint64_t{kPage};
                    heads += pages != 0;
                    for (std::uint32_t k = 1; k + 1 < length; ++k) CHECK((&row)[k].length == 0);
                } else {
                    const auto found = taken.find(heap.address_of(id));
                    CHECK(found != taken.end());
                    length = static_cast<std::uint32_t>(found->second / kRegionAlign);
                    for (std::uint32_t k = 0; k < length; ++k) CHECK((&row)[k].length == 0);
                    resident += heap.resident_pages(id, length) * std::uint64_t{kPage};
                }
                was_free = row.length != 0;
                at += length;
            }
        }
        CHECK(resident == heap.resident() && idle == heap.idle());
        std::uint64_t found = 0;
        for (std::uint32_t id = heap.highest_head(PageHeap::kNil); id != PageHeap::kNil; id = heap.highest_head(id)) ++found;
        CHECK(found == heads);
    }

    // Where the smallest free extent of a kind is that has room, the one at the lowest address if there are several.
    static char* best(PageHeap& heap, bool warm, std::size_t bytes) {
        const std::uint32_t want = static_cast<std::uint32_t>((bytes + kRegionAlign - 1) / kRegionAlign);
        char* found = nullptr;
        std::uint32_t least = ~std::uint32_t{0};
        each_free(heap, [&](std::uint32_t id, std::uint32_t length) {
            const std::uint32_t pages = heap.resident_pages(id, length);
            const bool is_warm = std::uint64_t{2} * pages >= std::uint64_t{length} * kGranulePages;
            if (is_warm == warm && length >= want && length < least) {
                least = length;
                found = heap.address_of(id);
            }
        });
        return found;
    }
    // What is resident in free granules, by their address.
    static std::map<char*, bool> idle(PageHeap& heap) {
        std::map<char*, bool> found;
        each_free(heap, [&](std::uint32_t id, std::uint32_t length) {
            for (std::uint32_t k = 0; k < length && k < 4096; ++k) found[heap.address_of(id + k)] = heap.row(id + k).resident != 0;
        });
        return found;
    }

    // Pieces that could move: wholly idle ones; and where they could go to in an extent in use: those without a resident page.
    static unsigned idle_pieces(PageHeap& heap) {
        unsigned found = 0;
        each_free(heap, [&](std::uint32_t id, std::uint32_t length) { found += pieces(heap, id, length, kPiecePages); });
        return found;
    }
    static unsigned empty_pieces(PageHeap& heap, const Extent& extent) {
        return pieces(heap, heap.id_of(extent.start), granules_of(extent.bytes), 0);
    }
    // Whether no page of these granules is resident.
    static bool absent(PageHeap& heap, char* start, std::size_t bytes) {
        return heap.resident_pages(heap.id_of(start), granules_of(bytes)) == 0;
    }
    static std::uint32_t moved() { return PageHeap::moved_.load_relaxed(); }
    static bool moves(const PageHeap& heap) { return heap.may_move(); }

  private:
    static unsigned pieces(PageHeap& heap, std::uint32_t id, std::uint32_t length, std::uint32_t pages) {
        unsigned found = 0;
        for (std::uint32_t at = (id + kPieceGranules - 1) / kPieceGranules * kPieceGranules; at + kPieceGranules <= id + length;
             at += kPieceGranules) {
            found += heap.resident_pages(at, kPieceGranules) == pages;
        }
        return found;
    }
    template <class Call>
    static void each_free(PageHeap& heap, Call call) {
        for (unsigned i = 0; i < heap.count_; ++i) {
            for (std::uint32_t at = 0; at < heap.reserves_[i].granules;) {
                const std::uint32_t id = (i << PageHeap::kReserveBits) | at;
                const std::uint32_t length = heap.row(id).length;
                if (length != 0) call(id, length);
                at += length != 0 ? length : 1;
            }
        }
    }
    static bool contains(PageHeap& heap, std::uint32_t root, std::uint32_t id) {
        while (root != PageHeap::kNil && root != id) root = heap.before(id, root) ? heap.row(root).left : heap.row(root).right;
        return root == id;
    }
};

}  // namespace bufpool

using namespace bufpool;

namespace {

std::uint64_t g_state = 88172645463325252u;

std::uint64_t random() {                                                     // xorshift64 (Marsaglia 2003)
    g_state ^= g_state << 13;
    g_state ^= g_state >> 7;
    g_state ^= g_state << 17;
    return g_state;
}

struct Piece {
    Extent extent;
    std::size_t touched;                                                     // bytes from its start
    unsigned char stamp;
};

void write(Piece& piece) {
    for (std::size_t at = 0; at < piece.touched; at += kPage) piece.extent.start[at] = static_cast<char>(piece.stamp);
}

void look(const Piece& piece) {
    for (std::size_t at = 0; at < piece.touched; at += kPage) {
        CHECK(static_cast<unsigned char>(piece.extent.start[at]) == piece.stamp);
    }
}

using Taken = std::map<char*, std::size_t>;
using Since = std::map<char*, std::uint32_t>;

// The huge page in which an extent ends comes as a whole if nothing else is in it. Its free part is idle then.
void widen(PageHeap& heap, const Extent& extent, bool advised, std::uint32_t now, const Taken& taken, Since& since) {
    char* const end = extent.start + extent.bytes;
    char* const first = end - 1 - (reinterpret_cast<std::uintptr_t>(end) - 1) % kHugePage;
    char* const last = first + kHugePage;
    const auto next = taken.lower_bound(end);
    const bool whole = advised && first >= extent.start && (next == taken.end() || next->first >= last);
    const bool comes = whole && PageHeapCheck::absent(heap, first, kHugePage);
    const std::size_t came = comes ? static_cast<std::size_t>(last - end) : 0;
    const std::uint64_t resident = heap.resident(), idle = heap.idle();
    heap.commit_last_huge_page(extent, now);
    CHECK(heap.resident() == resident + (comes ? kHugePage : 0) && heap.idle() == idle + came);
    for (std::size_t at = 0; at < came; at += kRegionAlign) since[end + at] = now;
}

void touch(PageHeap& heap, Piece& piece, std::size_t bytes) {
    char* const from = piece.extent.start + piece.touched;
    const std::uint64_t fresh = heap.nonresident(piece.extent.start, bytes);
    const bool clean = heap.nonresident(from, bytes - piece.touched) == bytes - piece.touched;
    const std::uint64_t before = heap.resident();
    CHECK(heap.commit_pages(piece.extent.start, bytes, random() % 2 == 0) == MapResult::ok);
    CHECK(heap.resident() == before + fresh);
    for (std::size_t at = piece.touched; clean && at < bytes; at += kPage) CHECK(piece.extent.start[at] == 0);
    piece.touched = bytes;
    write(piece);
}

// Idle pages come to a new extent, as many as there are and as it has room for. Nothing more is resident then.
void move_in(PageHeap& heap, const Extent& extent) {
    const unsigned from = PageHeapCheck::idle_pieces(heap), to = PageHeapCheck::empty_pieces(heap, extent);
    const bool moves = PageHeapCheck::moves(heap);
    const std::uint64_t resident = heap.resident(), idle = heap.idle(), fresh = heap.nonresident(extent.start, extent.bytes);
    CHECK(heap.move_in(extent));
    const std::uint64_t came = idle - heap.idle();
    CHECK(heap.resident() == resident && heap.nonresident(extent.start, extent.bytes) == fresh - came);
    if (PageHeapCheck::moves(heap)) CHECK(came == std::uint64_t{from < to ? from : to} * kHugePage);
    if (!moves) CHECK(came == 0);
}

// Pages that moved move on, all of them and with what they hold; then their addresses go while they are idle.
void run_on() {
    auto heap = std::make_unique<PageHeap>();
    std::memset(static_cast<void*>(heap.get()), 0, sizeof(PageHeap));
    heap->configure(Upstream{Pages::huge_advised, false, false});
    CHECK(heap->reserve(kHugePage, kHugePage));
    std::vector<Extent> extents, walls;                                      // so that none merges with the next
    for (std::uint32_t pieces = 3; pieces < 8; ++pieces) {
        for (auto* taken : {&extents, &walls}) {
            taken->emplace_back();
            CHECK(heap->acquire((taken == &extents ? pieces : 1) * kHugePage, kHugePage, false, taken->back()));
        }
    }
    for (const Extent& extent : extents) {
        const auto pieces = static_cast<std::uint32_t>(extent.bytes / kHugePage);
        const std::uint32_t came = pieces == 3 ? 0 : pieces - 1;
        CHECK(heap->move_in(extent));
        if (!PageHeapCheck::moves(*heap)) return;
        CHECK(heap->nonresident(extent.start, extent.bytes) == (pieces - came) * kHugePage && PageHeapCheck::moved() == came);
        for (std::size_t at = 0; at < extent.bytes; at += kPage) {
            const bool fresh = heap->nonresident(extent.start + at, kPage) != 0;
            CHECK(fresh || extent.start[at] == static_cast<char>(pieces - 1));
        }
        CHECK(heap->commit_pages(extent.start, extent.bytes, true) == MapResult::ok);
        for (std::size_t at = 0; at < extent.bytes; at += kPage) extent.start[at] = static_cast<char>(pieces);
        heap->release(extent, 1);
    }
    for (const Extent& wall : walls) heap->release(wall, 1);
    CHECK(heap->release_spaces() && PageHeapCheck::moved() == 0);
}

// More pieces than may have a map of their own.
void run_to_the_bound() {
    auto heap = std::make_unique<PageHeap>();
    std::memset(static_cast<void*>(heap.get()), 0, sizeof(PageHeap));
    heap->configure(Upstream{Pages::plain, false, false});
    constexpr std::size_t kBytes = 8200 * kHugePage;                         // addresses: nothing writes there
    Extent a, b;
    CHECK(heap->reserve(kBytes, kHugePage) && heap->acquire(kBytes, kHugePage, false, a));
    CHECK(heap->commit_pages(a.start, a.bytes, false) == MapResult::ok);
    heap->release(a, 1);
    CHECK(heap->reserve(kBytes + kHugePage, kHugePage) && heap->acquire(kBytes + kHugePage, kHugePage, false, b));
    CHECK(heap->move_in(b));
    if (PageHeapCheck::moves(*heap)) {
        CHECK(PageHeapCheck::moved() == 8192 && heap->nonresident(b.start, b.bytes) == (8200 - 8192 + 1) * kHugePage);
    }
    heap->release(b, 2);
    heap->purge(~std::uint64_t{0});
    CHECK(PageHeapCheck::moved() == 0);
    CHECK(heap->release_spaces());
}

void run(unsigned steps, const Upstream& upstream) {
    auto heap = std::make_unique<PageHeap>();
    std::memset(static_cast<void*>(heap.get()), 0, sizeof(PageHeap));        // as an arena finds it
    heap->configure(upstream);
    std::vector<Piece> pieces;
    Taken taken;
    Since since;                                                             // free granules: when they were given
    std::uint32_t now = 0xFFFFF000u;                                         // the stamps wrap on the way
    for (unsigned step = 0; step < steps; ++step, now += 7) {
        const std::uint64_t dice = random() % 16;
        Piece* const piece = pieces.empty() ? nullptr : &pieces[random() % pieces.size()];
        if (dice < 6 || piece == nullptr) {
            std::size_t bytes = (random() % 40 + 1) << (random() % 3 == 0 ? 16 : 12);
            if (random() % 8 == 0) bytes = (random() % 5 + 1) << 20;
            const std::size_t alignment = kRegionAlign << random() % 6;
            Extent extent;
            bool found = false;
            for (bool warm : {true, false}) {
                char* const best = alignment > kRegionAlign || step % 8 != 0 ? nullptr : PageHeapCheck::best(*heap, warm, bytes);
                if (found || !heap->acquire(bytes, alignment, warm, extent)) continue;
                CHECK(best == nullptr || best == extent.start);
                found = true;
            }
            if (!found) found = heap->reserve(bytes, alignment) && heap->acquire(bytes, alignment, false, extent);
            CHECK(found && extent.bytes >= bytes && extent.bytes < bytes + kRegionAlign);
            CHECK(reinterpret_cast<std::uintptr_t>(extent.start) % alignment == 0);
            taken[extent.start] = extent.bytes;
            pieces.push_back(Piece{extent, 0, static_cast<unsigned char>(random() % 255 + 1)});
            if (random() % 2 == 0) move_in(*heap, extent);
            else if (random() % 2 == 0) widen(*heap, extent, upstream.pages == Pages::huge_advised && !upstream.lock && !upstream.prefault && has_huge_pages(), now, taken, since);
            const std::size_t pages = extent.bytes / kPage;
            const std::size_t written = random() % 4 == 0 ? extent.bytes : (random() % pages + 1) * kPage;
            if (random() % 8 != 0) touch(*heap, pieces.back(), written);     // else it has no resident page
        } else if (dice < 10) {
            look(*piece);
            heap->release(piece->extent, now);
            for (std::size_t at = 0; at < piece->extent.bytes; at += kRegionAlign) since[piece->extent.start + at] = now;
            taken.erase(piece->extent.start);
            *piece = pieces.back();
            pieces.pop_back();
        } else if (dice == 10) {
            if (heap->extend(piece->extent, (random() % 8 + 1) * kRegionAlign)) {
                taken[piece->extent.start] = piece->extent.bytes;
                look(*piece);
                touch(*heap, *piece, piece->extent.bytes);
            }
        } else if (dice == 11) {
            const std::size_t bytes = (random() % (piece->extent.bytes / kRegionAlign) + 1) * kRegionAlign;
            for (std::size_t at = bytes; at < piece->extent.bytes; at += kRegionAlign) since[piece->extent.start + at] = now;
            heap->shorten(piece->extent, bytes, now);
            CHECK(piece->extent.bytes == bytes);
            taken[piece->extent.start] = bytes;
            if (piece->touched > bytes) piece->touched = bytes;
            look(*piece);
        } else if (dice == 12 && piece->touched != 0) {
            // The second half goes, and is zero when it is used again.
            std::size_t half = piece->touched / 2 / kPage * kPage;
            // A range that begins or ends inside a page leaves that page alone.
            const std::size_t inside = half + random() % 2 * 64;
            CHECK(heap->purge_inside(piece->extent.start + inside, piece->touched - inside) % kPage == 0);
            if (inside > half) half = half + kPage < piece->touched ? half + kPage : piece->touched;
            const std::size_t was = piece->touched;
            piece->touched = half;
            look(*piece);
            if (was > half) touch(*heap, *piece, was);
        } else if (dice == 13) {
            const std::uint64_t idle = heap->idle(), most = random() % (2 << 20);
            const std::uint64_t gone = heap->purge(most);
            CHECK(gone >= (most < idle ? most : idle) && gone < most + kRegionAlign && heap->idle() == idle - gone);
        } else if (dice == 14) {
            const std::uint64_t idle = heap->idle(), keep = random() % 2 == 0 ? 0 : random() % (4 << 20);
            const std::uint32_t then = now - static_cast<std::uint32_t>(random() % 300);
            std::map<char*, bool> was;
            if (step % 4 == 0) was = PageHeapCheck::idle(*heap);
            const std::uint64_t gone = heap->purge_older(then, keep);
            if (!was.empty()) {
                for (const auto& [granule, resident] : PageHeapCheck::idle(*heap)) {
                    const bool old = static_cast<std::int32_t>(since[granule] - then) <= 0;
                    CHECK(resident ? was[granule] && (!old || keep != 0) : !was[granule] || old);
                }
            }
            CHECK(heap->idle() == idle - gone && (gone == 0 || heap->idle() + kRegionAlign > keep));
        } else {
            for (const Piece& each : pieces) look(each);
        }
        if (step % 16 == 0) PageHeapCheck::whole(*heap, taken);
    }
    while (pieces.size() > 1) {
        look(pieces.front());
        heap->release(pieces.front().extent, now);
        pieces.erase(pieces.begin());
    }
    heap->release_spaces();                                                  // but not that of the last piece
    for (Piece& each : pieces) {
        look(each);
        heap->release(each.extent, now);
    }
    taken.clear();
    PageHeapCheck::whole(*heap, taken);
    heap->purge(~std::uint64_t{0});
    CHECK(heap->resident() == 0 && heap->idle() == 0 && PageHeapCheck::moved() == 0);
    CHECK(heap->release_spaces() && !heap->release_spaces());
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const unsigned rounds = static_cast<unsigned>(std::atoi(argv[1]));
    for (const Upstream& upstream : {Upstream{Pages::plain, false, false}, Upstream{Pages::huge_advised, false, false},
                                     Upstream{Pages::plain, false, true}, Upstream{Pages::huge_advised, true, false}}) {
        run(rounds, upstream);
    }
    run_on();
    run_to_the_bound();
    std::printf("%u operations, 0 violations\n", 4 * rounds);
    return 0;
}
