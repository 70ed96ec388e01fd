// The operating system's memory: address space; pages that are committed and decommitted; huge pages, locking, first touch.
//
// An Upstream says where memory comes from.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bufpool {

constexpr std::size_t kPage = 4096;                      // bytes; what sizes are rounded to, on every target
constexpr std::size_t kHugePage = std::size_t{2} << 20;  // bytes
constexpr std::size_t kRegionAlign = std::size_t{64} << 10;  // bytes; Windows' granularity, and the page map's

enum class Pages : std::uint32_t {
    plain = 0,         // 4 KiB pages, or the system's default
    huge_advised = 1,  // transparent huge pages where a region holds a whole one; plain where refused
    huge_explicit = 2, // MAP_HUGETLB from the system's reserve; advised where the reserve is empty
    malloc = 3         // the C library's allocator, extent by extent: for tools that watch it
};

struct Upstream {
    Pages pages;
    bool lock;      // mlock: never swapped out
    bool prefault;  // touched when mapped, not on first use
};

enum class MapResult : std::uint32_t { ok = 0, no_memory = 1, not_lockable = 2 };

struct Region {
    void* start;          // null: the system has no memory
    std::size_t bytes;    // whole granules
};

// Zero-filled memory for the core's own records.
Region map_records(std::size_t bytes) noexcept;
void unmap_records(const Region& region) noexcept;

// --- address space apart from memory, for the page heap ---

// Windows commits memory by a call before the first write; elsewhere the first write commits it.
#if defined(_WIN32)
constexpr bool kCommitsPages = true;
#else
constexpr bool kCommitsPages = false;
#endif

// Reserves addresses without memory, aligned to kHugePage. `bytes` is a multiple of kHugePage. Null: the system refuses.
char* reserve_space(std::size_t bytes) noexcept;
void release_space(char* start, std::size_t bytes) noexcept;
// Lets the range be committed. False: the system refuses.
bool allow_access(char* start, std::size_t bytes) noexcept;
// Makes the pages of the range resident, as the upstream says. With explicit huge pages the range consists of whole ones.
MapResult commit(const Upstream& upstream, char* start, std::size_t bytes, bool& degraded) noexcept;
// Returns the range's memory to the system; its next use finds zeros. False: the system refuses, and nothing changed.
bool decommit(const Upstream& upstream, char* start, std::size_t bytes) noexcept;

// Refused: nothing has changed. Lost: the contents of the target are unknown, and it must never be used again.
enum class Move : std::uint32_t { done = 0, refused = 1, lost = 2 };

// Whether pages can be moved safely: not if a limit of the process could stop the system half-way.
bool may_move_pages() noexcept;
// Moves pages, with their contents, to another range of the same length. Both ranges may be accessed. Afterwards the first
// holds zeros and is a new map, because advice and locks stay with the pages.
Move move_pages(char* from, char* to, std::size_t bytes) noexcept;
// Makes a range without pages one map with its neighbours again, if that is possible.
void join_maps(char* start, std::size_t bytes) noexcept;
// Whether the system has transparent huge pages, and its settings allow them.
bool has_huge_pages() noexcept;
// Advises transparent huge pages for the range, where the system has them.
void advise_huge(char* start, std::size_t bytes) noexcept;
// Withdraws that advice.
void advise_small(char* start, std::size_t bytes) noexcept;

// A block of the C library's heap, aligned to a power of two of at least kRegionAlign. Null: it has no memory.
char* malloc_extent(std::size_t bytes, std::size_t alignment) noexcept;
void free_extent(const Upstream& upstream, char* start, std::size_t bytes) noexcept;

// Touches every page of [start, start + bytes) without changing its contents.
void touch_pages(void* start, std::size_t bytes) noexcept;

// Makes every running thread of this process pass a full memory barrier. False: the system cannot do that.
bool barrier_everywhere() noexcept;

std::uint64_t physical_memory() noexcept;  // bytes, or what the job of the process (Windows) allows; 0 if unknown

}  // namespace bufpool
