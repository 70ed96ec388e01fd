// Preloaded: fails the Nth call for memory that a compiled module of bufpool makes, and nobody else's.
//
// A call is ours if it returns into a module under bufpool/memory/native or bufpool/objects/native. What the interpreter, NumPy and the C library do on
// their own account goes through.
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
int __register_atfork(void (*)(), void (*)(), void (*)(), void*);
}

namespace {

struct Range {
    std::uintptr_t start, end;
};
Range g_modules[64];
int g_count = 0;
long g_wanted = 0;   // which call fails; 0: nothing is counted
long g_seen = 0;

int note_module(dl_phdr_info* info, std::size_t, void*) {
    if (std::strstr(info->dlpi_name, "bufpool/memory/native/") == nullptr &&
        std::strstr(info->dlpi_name, "bufpool/objects/native/") == nullptr)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const ElfW(Phdr)& part = info->dlpi_phdr[i];
        if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0 || g_count == 64) continue;
        const std::uintptr_t start = info->dlpi_addr + part.p_vaddr;
        g_modules[g_count++] = Range{start, start + part.p_memsz};
    }
    return 0;
}

bool fails(const void* caller) {
    if (g_wanted == 0) return false;
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(caller);
    for (int i = 0; i < g_count; ++i) {
        if (address >= g_modules[i].start && address < g_modules[i].end) {
            if (++g_seen != g_wanted) return false;
            errno = ENOMEM;
            return true;
        }
    }
    return false;
}

template <class Function>
Function* next(const char* name) {
    return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

#define FAILS fails(__builtin_return_address(0))

extern "C" {

__attribute__((visibility("default"))) void fail_nth(long wanted) {
    g_count = 0;
    dl_iterate_phdr(note_module, nullptr);
    g_seen = 0;
    g_wanted = wanted;
}
__attribute__((visibility("default"))) long fail_nth_seen() { return g_seen; }

void* malloc(std::size_t bytes) noexcept { return FAILS ? nullptr : __libc_malloc(bytes); }
void* calloc(std::size_t count, std::size_t bytes) noexcept { return FAILS ? nullptr : __libc_calloc(count, bytes); }
void* realloc(void* old, std::size_t bytes) noexcept { return FAILS ? nullptr : __libc_realloc(old, bytes); }

void* mmap(void* at, std::size_t bytes, int protection, int flags, int file, off_t offset) noexcept {
    if (FAILS) return MAP_FAILED;
    return reinterpret_cast<void*>(syscall(SYS_mmap, at, bytes, protection, flags, file, offset));
}
int mprotect(void* at, std::size_t bytes, int protection) noexcept {
    return FAILS ? -1 : static_cast<int>(syscall(SYS_mprotect, at, bytes, protection));
}
int madvise(void* at, std::size_t bytes, int advice) noexcept {
    return FAILS ? -1 : static_cast<int>(syscall(SYS_madvise, at, bytes, advice));
}
int mlock(const void* at, std::size_t bytes) noexcept {
    return FAILS ? -1 : static_cast<int>(syscall(SYS_mlock, at, bytes));
}
int pthread_setspecific(pthread_key_t key, const void* value) noexcept {
    static auto* const real = next<int(pthread_key_t, const void*)>("pthread_setspecific");
    return FAILS ? ENOMEM : real(key, value);
}
int __register_atfork(void (*prepare)(), void (*parent)(), void (*child)(), void* module) {
    static auto* const real = next<int(void (*)(), void (*)(), void (*)(), void*)>("__register_atfork");
    return FAILS ? ENOMEM : real(prepare, parent, child, module);
}
}
