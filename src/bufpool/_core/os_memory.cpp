// The operating systems behind os_memory.hpp.
#include "os_memory.hpp"

#include "atomics.hpp"

#if defined(_WIN32)
#include <malloc.h>
#else
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif
#endif

namespace bufpool {

void touch_pages(void* start, std::size_t bytes) noexcept {
    if (bytes == 0) return;
    volatile char* const p = static_cast<volatile char*>(start);
    for (std::size_t i = 0; i < bytes; i += kPage) p[i] = p[i];
    p[bytes - 1] = p[bytes - 1];
}

#if defined(_WIN32)

namespace {

// Windows locks no more than the minimum working set of the process, some 200 KiB at first: raise it by what is to be locked.
bool lock_region(void* start, std::size_t bytes) noexcept {
    if (VirtualLock(start, bytes)) return true;
    SIZE_T least, most;
    const HANDLE self = GetCurrentProcess();
    if (!GetProcessWorkingSetSize(self, &least, &most)) return false;
    return SetProcessWorkingSetSize(self, least + bytes, most + bytes) && VirtualLock(start, bytes);
}

}  // namespace

Region map_records(std::size_t bytes) noexcept {
    const std::size_t rounded = (bytes + kRegionAlign - 1) & ~(kRegionAlign - 1);
    return Region{VirtualAlloc(nullptr, rounded, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE), rounded};
}

void unmap_records(const Region& region) noexcept { VirtualFree(region.start, 0, MEM_RELEASE); }

// Huge pages need a privilege here that users do not have: huge_advised means plain pages, huge_explicit is degraded.
char* reserve_space(std::size_t bytes) noexcept {
    // Reserves more to find an aligned address, and then just the range at that address.
    for (int trial = 0; trial < 8; ++trial) {
        void* const wide = VirtualAlloc(nullptr, bytes + kHugePage, MEM_RESERVE, PAGE_NOACCESS);
        if (wide == nullptr) return nullptr;
        const std::uintptr_t aligned = (reinterpret_cast<std::uintptr_t>(wide) + kHugePage - 1) & ~(kHugePage - 1);
        VirtualFree(wide, 0, MEM_RELEASE);
        void* const start = VirtualAlloc(reinterpret_cast<void*>(aligned), bytes, MEM_RESERVE, PAGE_NOACCESS);
        if (start != nullptr) return static_cast<char*>(start);
    }
    return nullptr;
}

void release_space(char* start, std::size_t) noexcept { VirtualFree(start, 0, MEM_RELEASE); }

bool allow_access(char*, std::size_t) noexcept { return true; }

MapResult commit(const Upstream& upstream, char* start, std::size_t bytes, bool& degraded) noexcept {
    if (VirtualAlloc(start, bytes, MEM_COMMIT, PAGE_READWRITE) == nullptr) return MapResult::no_memory;
    if (upstream.lock && !lock_region(start, bytes)) return MapResult::not_lockable;
    if (upstream.prefault) touch_pages(start, bytes);
    degraded = upstream.pages == Pages::huge_explicit;
    return MapResult::ok;
}

bool decommit(const Upstream& upstream, char* start, std::size_t bytes) noexcept {
    if (upstream.lock) VirtualUnlock(start, bytes);
    return VirtualFree(start, bytes, MEM_DECOMMIT) != 0;
}

bool may_move_pages() noexcept { return false; }
Move move_pages(char*, char*, std::size_t) noexcept { return Move::refused; }
void join_maps(char*, std::size_t) noexcept {}
bool has_huge_pages() noexcept { return false; }
void advise_huge(char*, std::size_t) noexcept {}
void advise_small(char*, std::size_t) noexcept {}

char* malloc_extent(std::size_t bytes, std::size_t alignment) noexcept {
    return static_cast<char*>(_aligned_malloc(bytes, alignment));
}

void free_extent(const Upstream& upstream, char* start, std::size_t bytes) noexcept {
    if (upstream.lock) VirtualUnlock(start, bytes);
    _aligned_free(start);
}

bool barrier_everywhere() noexcept {
    FlushProcessWriteBuffers();
    return true;
}

std::uint64_t physical_memory() noexcept {
    MEMORYSTATUSEX status;
    status.dwLength = sizeof status;
    std::uint64_t bytes = GlobalMemoryStatusEx(&status) ? status.ullTotalPhys : 0;
    // A container on Windows is a job. No handle means the job of this process; outside of one the call fails.
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION job;
    if (bytes != 0 && QueryInformationJobObject(nullptr, JobObjectExtendedLimitInformation, &job, sizeof job, nullptr)) {
        const DWORD flags = job.BasicLimitInformation.LimitFlags;
        if ((flags & JOB_OBJECT_LIMIT_JOB_MEMORY) != 0 && job.JobMemoryLimit < bytes) bytes = job.JobMemoryLimit;
        if ((flags & JOB_OBJECT_LIMIT_PROCESS_MEMORY) != 0 && job.ProcessMemoryLimit < bytes) bytes = job.ProcessMemoryLimit;
    }
    return bytes;
}

#else

namespace {

// Not static in a function: the guard would need the C++ run-time library.
const std::size_t g_system_page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));

void* map_anonymous(std::size_t bytes, int flags) noexcept {
    void* const p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return p == MAP_FAILED ? nullptr : p;
}

}  // namespace

Region map_records(std::size_t bytes) noexcept {
    const std::size_t rounded = (bytes + kRegionAlign - 1) & ~(kRegionAlign - 1);
    return Region{map_anonymous(rounded, 0), rounded};
}

void unmap_records(const Region& region) noexcept { munmap(region.start, region.bytes); }

namespace {

// Without MAP_NORESERVE: the system accounts for what may be written to, so that it refuses a request that it could never
// serve, as it would refuse malloc's.
constexpr int kSpace = MAP_PRIVATE | MAP_ANONYMOUS;

#if defined(MAP_HUGETLB) && defined(MAP_HUGE_SHIFT)
// Replaces the range's plain pages by explicit huge ones. These are mapped elsewhere first and then moved: mapping over a range
// may fail and leave a hole, which another thread's map could fill.
bool place_huge_pages(char* start, std::size_t bytes) noexcept {
    void* const got = map_anonymous(bytes, MAP_HUGETLB | 21 << MAP_HUGE_SHIFT);
    if (got == nullptr) return false;
    if (mremap(got, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, start) == start) return true;
    munmap(got, bytes);
    return false;
}
#endif

}  // namespace

char* reserve_space(std::size_t bytes) noexcept {
    void* const wide = mmap(nullptr, bytes + kHugePage, PROT_NONE, kSpace, -1, 0);
    if (wide == MAP_FAILED) return nullptr;
    char* const from = static_cast<char*>(wide);
    const std::size_t head = -reinterpret_cast<std::uintptr_t>(from) & (kHugePage - 1);
    if (head != 0) munmap(from, head);
    munmap(from + head + bytes, kHugePage - head);
    return from + head;
}

void release_space(char* start, std::size_t bytes) noexcept { munmap(start, bytes); }

bool allow_access(char* start, std::size_t bytes) noexcept {
    return mprotect(start, bytes, PROT_READ | PROT_WRITE) == 0;
}

MapResult commit(const Upstream& upstream, char* start, std::size_t bytes, bool& degraded) noexcept {
#if defined(MAP_HUGETLB) && defined(MAP_HUGE_SHIFT)
    if (upstream.pages == Pages::huge_explicit && !place_huge_pages(start, bytes)) {
        degraded = true;
        advise_huge(start, bytes);
    }
#else
    degraded = upstream.pages == Pages::huge_explicit;
#endif
    if (upstream.lock && mlock(start, bytes) != 0) return MapResult::not_lockable;
    if (upstream.prefault) touch_pages(start, bytes);
    return MapResult::ok;
}

bool decommit(const Upstream& upstream, char* start, std::size_t bytes) noexcept {
    if (upstream.lock) munlock(start, bytes);
#if defined(__linux__)
    if (upstream.pages != Pages::huge_explicit && madvise(start, bytes, MADV_DONTNEED) == 0) return true;
#endif
    // Map fresh plain memory in its place: every system can do that, and explicit huge pages need it.
    return mmap(start, bytes, PROT_READ | PROT_WRITE, kSpace | MAP_FIXED, -1, 0) == start;
}

bool may_move_pages() noexcept {
#if defined(__linux__)
    // mremap unmaps the target before it checks these limits. The system limits what may be written to in all only with
    // vm.overcommit_memory=2, which is read once.
    for (int what : {RLIMIT_AS, RLIMIT_DATA}) {
        rlimit limit;
        if (getrlimit(what, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) return false;
    }
    static Atomic<std::uint32_t> counts;   // 0: not yet read; 1: no; 2: yes
    std::uint32_t known = counts.load_relaxed();
    if (known == 0) {
        char mode = '2';
        const int file = open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);
        if (file < 0 || read(file, &mode, 1) != 1) mode = '2';
        if (file >= 0) close(file);
        counts.store_relaxed(known = mode == '2' ? 2 : 1);
    }
    return known == 1;
#else
    return false;
#endif
}

Move move_pages(char* from, char* to, std::size_t bytes) noexcept {
#if defined(__linux__)
    constexpr int kDontUnmap = 4;   // MREMAP_DONTUNMAP, Linux 5.7; the C library's header may be older
    if (mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | kDontUnmap, to) == to) {
        join_maps(from, bytes);
        return Move::done;
    }
    // A kernel or a filter that does not know the call refuses it at once. Any other failure may come after `to` was
    // unmapped, and another thread's map may be there by now.
    return errno == EINVAL || errno == ENOSYS || errno == EPERM ? Move::refused : Move::lost;
#else
    (void)from, (void)to, (void)bytes;
    return Move::refused;
#endif
}

void join_maps(char* start, std::size_t bytes) noexcept {
    mmap(start, bytes, PROT_READ | PROT_WRITE, kSpace | MAP_FIXED, -1, 0);
}

bool has_huge_pages() noexcept {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    // Read once. The file says "always madvise [never]": what is in force stands in brackets.
    static Atomic<std::uint32_t> known;   // 1: they are allowed, 2: they are not
    if (known.load_relaxed() == 0) {
        char text[64] = {};
        const int file = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
        const ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);
        if (file >= 0) close(file);
        known.store_relaxed(length > 0 && std::strstr(text, "[never]") == nullptr ? 1 : 2);
    }
    return known.load_relaxed() == 1;
#else
    return false;
#endif
}

void advise_huge(char* start, std::size_t bytes) noexcept {
#if defined(MADV_HUGEPAGE)
    // The map is our own, so the advice affects nobody else's memory. A kernel without huge pages refuses, which is harmless.
    madvise(start, bytes, MADV_HUGEPAGE);
#else
    (void)start, (void)bytes;
#endif
}

void advise_small(char* start, std::size_t bytes) noexcept {
#if defined(MADV_NOHUGEPAGE)
    madvise(start, bytes, MADV_NOHUGEPAGE);
#else
    (void)start, (void)bytes;
#endif
}

char* malloc_extent(std::size_t bytes, std::size_t alignment) noexcept {
    void* start = nullptr;
    return posix_memalign(&start, alignment, bytes) == 0 ? static_cast<char*>(start) : nullptr;
}

void free_extent(const Upstream& upstream, char* start, std::size_t bytes) noexcept {
    if (upstream.lock) munlock(start, bytes);
    std::free(start);
}

bool barrier_everywhere() noexcept {
#if defined(SYS_membarrier)
    // Linux 4.14. The numbers are the kernel's, whose header may be older. A process registers once; a fork's child inherits that.
    constexpr int kPrivateExpedited = 1 << 3, kRegisterPrivateExpedited = 1 << 4;
    if (syscall(SYS_membarrier, kPrivateExpedited, 0, 0) == 0) return true;
    return syscall(SYS_membarrier, kRegisterPrivateExpedited, 0, 0) == 0 &&
           syscall(SYS_membarrier, kPrivateExpedited, 0, 0) == 0;
#else
    return false;
#endif
}

std::uint64_t physical_memory() noexcept {
#if defined(_SC_PHYS_PAGES)
    const long pages = sysconf(_SC_PHYS_PAGES);
    if (pages > 0) return static_cast<std::uint64_t>(pages) * g_system_page;
#endif
    return 0;
}

#endif

}  // namespace bufpool
