// The page heap: an arena's address space, cut into extents that split and merge, so that idle memory of one size
// serves every other.
//
//   reserve    address space without memory, 1 GiB and more; extents do not cross from one reserve to the next
//   granule    64 KiB, the unit of extents; has a row in the reserve's table
//   extent     a run of granules, in use or free; free neighbours are always merged
//   page       4 KiB, the unit of residency: a bit in its granule's row
//   piece      2 MiB, the unit of idle pages that move from one extent to another (page_heap_moves.cpp)
//
// Each free extent is in one of two trees ordered by size: *warm* if at least half of its pages are resident, *cold*
// otherwise. A request gets the smallest that fits, at the lowest address, and warm before cold: that cut the page
// faults of programs with varying sizes 3.5-fold in a simulation. Idle pages are purged (returned to the system) from the
// highest address down, which keeps the heap dense; jemalloc (Evans 2006) prefers low addresses for the same reason.
//
// A page counts as resident from its commit, when it may first be written to, until it is purged. A page that is not resident
// is all zeros.
//
// With Pages::malloc there is no heap: each extent is a block of the C library's, which is freed when it is released.
//
// Everything here is done under the arena's lock.
#pragma once

#include "bufpool/_core/atomics.hpp"
#include "bufpool/_core/os_memory.hpp"

namespace bufpool {

constexpr std::size_t kGranulePages = kRegionAlign / kPage;
constexpr std::uint32_t kPieceGranules = kHugePage / kRegionAlign;     // a piece: a huge page, or room for one
constexpr std::uint32_t kPiecePages = kHugePage / kPage;

inline std::uint32_t granules_of(std::size_t bytes) noexcept {
    return static_cast<std::uint32_t>((bytes + kRegionAlign - 1) / kRegionAlign);
}

struct Extent {
    char* start;
    std::size_t bytes;        // whole granules
};

class PageHeap {
  public:
    // Call it before the first use, and later only while all extents are free.
    void configure(const Upstream& upstream) noexcept;

    // Searches the warm or the cold tree for a free extent of at least `bytes` at a multiple of `alignment`, which is then in
    // use. False: there is none. The cold tree holds all address space that was reserved.
    bool acquire(std::size_t bytes, std::size_t alignment, bool warm, Extent& out) noexcept;
    // Reserves more address space, enough for one extent of so many bytes. False: the system has none.
    bool reserve(std::size_t bytes, std::size_t alignment) noexcept;
    // Returns the address space of each reserve that is all free to the system. False: there is none.
    bool release_spaces() noexcept;
    // Frees the extent. Its pages stay as they are; the resident ones count as idle since `now`.
    void release(Extent extent, std::uint32_t now) noexcept;
    // Adds the `bytes` right behind the extent to it, if they are free.
    bool extend(Extent& extent, std::size_t bytes) noexcept;
    // Frees the end of the extent; its first `bytes` stay in use.
    void shorten(Extent& extent, std::size_t bytes, std::uint32_t now) noexcept;

    // Bytes of the pages of a range in use that are not resident.
    std::uint64_t nonresident(const char* start, std::size_t bytes) const noexcept;
    // Makes the pages of a range in use resident, so that it may be written to. `huge`: advise huge pages for it.
    MapResult commit_pages(char* start, std::size_t bytes, bool huge) noexcept;
    // Makes the huge page in which an extent in use ends resident as a whole, if nothing else is in it: one page fault instead
    // of 512. The part of it behind the extent is free, and idle since `now`.
    void commit_last_huge_page(Extent extent, std::uint32_t now) noexcept;
    // Moves idle pages to where an extent in use has none, whole huge pages at a time. That costs a small part of what page
    // faults would, and no more memory becomes resident. The pages keep their contents.
    // False: the system failed half-way; the extent must be neither used nor released.
    bool move_in(Extent extent) noexcept;
    // Purges the pages that lie wholly in a range in use. Returns the bytes that were resident.
    std::uint64_t purge_inside(char* start, std::size_t bytes) noexcept;

    // Purges resident pages of free extents, at least `bytes` if there are so many, highest addresses first. Returns the bytes.
    std::uint64_t purge(std::uint64_t bytes) noexcept;
    // Purges the pages that have been idle since `then` or longer, but leaves `keep` bytes.
    std::uint64_t purge_older(std::uint32_t then, std::uint64_t keep) noexcept;

    // Whether released extents are kept for reuse.
    bool recycles() const noexcept { return upstream_.pages != Pages::malloc; }
    std::uint64_t resident() const noexcept { return resident_; }         // bytes, in use and free
    std::uint64_t idle() const noexcept { return idle_; }                 // bytes of them in free extents
    // Bytes of addresses that may be written to and are not resident: purged, or not yet used.
    std::uint64_t purged() const noexcept { return recycles() ? accessible_ - resident_ : 0; }
    std::uint64_t degraded() const noexcept { return degraded_; }         // times that explicit huge pages were refused

  private:
    friend struct PageHeapCheck;                                          // tests check the rows

    static constexpr std::uint32_t kNil = 0xFFFFFFFFu;
    static constexpr unsigned kReserves = 64;
    static constexpr unsigned kReserveBits = 24;                          // granules of a reserve: at most 1 TiB
    static constexpr std::uint32_t kLocal = (1u << kReserveBits) - 1;

    struct Row {                          // of a granule
        std::uint16_t resident;           // a bit for each of its pages
        std::uint8_t huge;                // of the first granule of a huge page: huge pages were advised
        std::uint8_t moved;               // of the same: its pages were moved here, and are a map of their own
        std::uint32_t stamp;              // milliseconds: idle since
        std::uint32_t length;             // of the free extent that begins or ends here, in granules; else 0
        std::uint32_t pages;              // of the free extent that begins here: resident ones
        std::uint32_t left, right;        // its children in the tree
    };
    struct Reserve {
        char* base;                       // null: unused
        Row* rows;                        // one before the first and one behind the last are always in use
        std::uint64_t* heads;             // a bit for each granule where a free extent with resident pages begins
        std::uint64_t* summary;           // a bit for each word of `heads` that is not 0
        std::uint32_t granules;
        std::uint32_t accessible;         // granules from the base that may be accessed
        Region table;                     // where the rows and bits stand
    };

    Row& row(std::uint32_t id) noexcept { return reserves_[id >> kReserveBits].rows[id & kLocal]; }
    const Row& row(std::uint32_t id) const noexcept { return reserves_[id >> kReserveBits].rows[id & kLocal]; }
    std::uint32_t id_of(const char* address) const noexcept;
    char* address_of(std::uint32_t id) const noexcept {
        return reserves_[id >> kReserveBits].base + std::size_t{id & kLocal} * kRegionAlign;
    }
    std::uint32_t resident_pages(std::uint32_t id, std::uint32_t granules) const noexcept;

    // The trees: treaps (Seidel and Aragon 1996) in the rows, ordered by length and then by address.
    bool before(std::uint32_t a, std::uint32_t b) const noexcept {
        return row(a).length != row(b).length ? row(a).length < row(b).length : a < b;
    }
    void insert(std::uint32_t& root, std::uint32_t id) noexcept;
    void erase(std::uint32_t& root, std::uint32_t id) noexcept;
    std::uint32_t at_least(std::uint32_t root, std::uint32_t length) const noexcept;

    void link(std::uint32_t id, std::uint32_t length, std::uint32_t pages) noexcept;
    void unlink(std::uint32_t id) noexcept;
    void mark_head(std::uint32_t id, bool set) noexcept;
    std::uint32_t highest_head(std::uint32_t below) const noexcept;
    std::uint32_t& tree_of(std::uint32_t length, std::uint32_t pages) noexcept {
        return std::uint64_t{2} * pages >= std::uint64_t{length} * kGranulePages ? warm_ : cold_;
    }
    std::uint64_t purge_run(std::uint32_t id, std::uint32_t granules) noexcept;
    Move move_piece(std::uint32_t from, std::uint32_t to) noexcept;
    bool make_accessible(std::uint32_t id, std::uint32_t granules) noexcept;
    void join(std::uint32_t piece) noexcept;
    void advise(std::uint32_t id, std::uint32_t granules) noexcept;
    void advise_against(std::uint32_t id, std::uint32_t granules) noexcept;
    // Whether a range to purge may begin here: not in the middle of an explicit huge page.
    bool may_split(std::uint32_t id) const noexcept {
        return upstream_.pages != Pages::huge_explicit || id % (kHugePage / kRegionAlign) == 0;
    }

    // Pieces of the process that have a map of their own.
    static Atomic<std::uint32_t> moved_;
    static Atomic<std::uint32_t> refused_;   // 1: the system refused to move pages, or failed: no page moves any more
    bool may_move() const noexcept { return moves_ && refused_.load_relaxed() == 0 && may_move_pages(); }

    Upstream upstream_;
    std::uint32_t warm_, cold_;           // roots
    unsigned count_;                      // reserves
    bool moves_;                          // pages may move: they are neither locked nor explicit huge ones
    std::uint64_t resident_, idle_, degraded_;
    std::uint64_t accessible_;            // bytes that may be accessed, of all reserves
    Reserve reserves_[kReserves];
};

}  // namespace bufpool
