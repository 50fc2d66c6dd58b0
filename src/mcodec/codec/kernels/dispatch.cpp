// Which targets this machine can run, which one is in use, and the floating-point mode.
#include "kernels.hpp"

#include <atomic>
#include <cstring>

#ifdef MCODEC_X86
#include <xmmintrin.h>
#else
#include <cfenv>
#include <new>
#endif

namespace mcodec {

// __builtin_cpu_supports asks cpuid for the instructions and xgetbv for the registers.
int usable(const Table* (&found)[kMaxTargets]) noexcept {
    int count = 0;
#ifdef MCODEC_X86
    const bool v2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c") &&
                    __builtin_cpu_supports("bmi2");
    if (v2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        if (__builtin_cpu_supports("gfni")) found[count++] = &avx512_gfni;
        found[count++] = &avx512;
    }
    if (v2) found[count++] = &avx2;
#endif
#ifdef MCODEC_NEON
    found[count++] = &neon;
#endif
    found[count++] = &portable;
    return count;
}

#ifdef MCODEC_X86
bool fast_bmi2() noexcept { return !__builtin_cpu_is("amdfam17h"); }
#endif

namespace {

std::atomic<const Table*>& chosen() noexcept {
    static std::atomic<const Table*> table = [] {
        const Table* found[kMaxTargets];
        usable(found);
        return found[0];
    }();
    return table;
}

}  // namespace

const Table& active() noexcept { return *chosen().load(std::memory_order_relaxed); }

bool use(const char* name) noexcept {
    const Table* found[kMaxTargets];
    const int count = usable(found);
    for (int i = 0; i < count; ++i) {
        if (std::strcmp(found[i]->name, name) == 0) {
            chosen().store(found[i], std::memory_order_relaxed);
            return true;
        }
    }
    return false;
}

#ifdef MCODEC_X86

// All exceptions masked, round to nearest, neither FTZ nor DAZ: the state a process starts in.
RoundingGuard::RoundingGuard() noexcept {
    const unsigned before = _mm_getcsr();
    std::memcpy(saved_, &before, sizeof before);
    _mm_setcsr(0x1F80);
}

RoundingGuard::~RoundingGuard() {
    unsigned before;
    std::memcpy(&before, saved_, sizeof before);
    _mm_setcsr(before);
}

#else

static_assert(sizeof(std::fenv_t) <= 64, "saved_ holds the environment");

RoundingGuard::RoundingGuard() noexcept {
    std::fegetenv(::new (saved_) std::fenv_t);
    std::fesetenv(FE_DFL_ENV);
}

RoundingGuard::~RoundingGuard() {
    std::fesetenv(std::launder(reinterpret_cast<std::fenv_t*>(saved_)));
}

#endif

}  // namespace mcodec
