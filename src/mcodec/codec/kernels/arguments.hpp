// What the bindings share: dtypes, planes and scopes from Python, and the call of a kernel.
#pragma once

#include "buffers.hpp"
#include "kernels.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <cfloat>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>

namespace mcodec {

using ScopeTuple = std::tuple<uint64_t, uint64_t, uint64_t>;

inline Dtype dtype_from(const std::string& name) {
    if (name == "float32") return Dtype::float32;
    if (name == "bfloat16") return Dtype::bfloat16;
    if (name == "float16") return Dtype::float16;
    if (name == "float64") return Dtype::float64;
    fail("dtype", "no float format '" + name + "'");
}

inline size_t item_size(Dtype dtype) { return static_cast<size_t>(format_of(dtype).width) / 8; }

inline size_t plane_size(size_t n) { return n / 8 + (n % 8 != 0); }

template <class Job>
void run(void (*kernel)(Job&) noexcept, Job& job) {
    nb::gil_scoped_release released;
    RoundingGuard guard;
    kernel(job);
}

// Planes into `to`; returns how many.
template <class Byte>
int take_planes(Buffers& buffers, nb::handle planes, size_t n, int low, int high, Byte** to) {
    constexpr bool writable = !std::is_const_v<Byte>;
    const Items items(planes, "planes");
    if (items.size() < low || items.size() > high) {
        fail("planes", "there must be " + std::to_string(low) + " to " + std::to_string(high));
    }
    for (int i = 0; i < items.size(); ++i) {
        const bool zeros = !writable && items[i].is_none();
        to[i] = zeros ? nullptr : buffers.bytes(items[i], plane_size(n), writable, "planes");
    }
    return items.size();
}

inline size_t count_ones(const uint8_t* plane, size_t bytes) {
    CountBits job{bytes, plane, 0};
    active().count_bits(job);
    return job.count;
}

inline const uint8_t* take_mask(Buffers& buffers, nb::handle mask, size_t n) {
    const uint8_t* data = buffers.bytes(mask, plane_size(n), false, "mask");
    if (n % 8 && data[n / 8] >> n % 8) fail("mask", "has bits past the last element");
    return data;
}

// Where a merge puts its elements into an output of n: the mask may be None. Returns how many they
// are.
inline size_t take_spread(Buffers& buffers, nb::handle mask, size_t n, Spread* to) {
    if (mask.is_none()) return n;
    *to = {take_mask(buffers, mask, n), n};
    return count_ones(to->mask, plane_size(n));
}

inline Scopes take_scopes(const ScopeTuple& t, size_t n, size_t entries) {
    const auto [inner, count, first] = t;
    if (inner < 1 || count < 1 || first > UINT64_MAX - n) fail("scopes", "must be positive");
    const uint64_t touched = n ? (first + n - 1) / inner + 1 : 0;
    const uint64_t used = touched < count ? touched : count;
    if (entries < used) fail("scopes", "the table must have " + std::to_string(used) + " entries");
    return {inner, count, first};
}

using Step = std::optional<double>;

inline const uint8_t* take_sign(Buffers& buffers, nb::handle sign, size_t n) {
    return sign.is_none() ? nullptr : buffers.bytes(sign, plane_size(n), false, "sign");
}

inline Scale take_scale(Buffers& buffers, const ScopeTuple& scopes, nb::handle exponents, Step step,
                        size_t n) {
    if (step) {
        const float single = static_cast<float>(*step);
        if (!(*step >= FLT_MIN && *step <= FLT_MAX && static_cast<double>(single) == *step)) {
            fail("step", "must be a positive normal float32");
        }
        return {{1, 1, 0}, nullptr, single};
    }
    if (exponents.is_none()) fail("exponents", "needed where there is no step");
    const View table = buffers.items(exponents, sizeof(int16_t), false, "exponents");
    return {take_scopes(scopes, n, table.size), reinterpret_cast<int16_t*>(table.data), 0.0f};
}

inline void check_bits(int bits) {
    if (bits < 1 || bits > kMaxBits) fail("bits", "must be 1 to 24");
}

// Each adds the functions of one family to the module.
void bind_merge(nb::module_& m);
void bind_sparse(nb::module_& m);
void bind_delta(nb::module_& m);
void bind_residual(nb::module_& m);

}  // namespace mcodec
