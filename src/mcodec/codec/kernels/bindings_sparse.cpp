// Masks, gaps and int8 for Python.
#include "arguments.hpp"

#include <algorithm>
#include <cfloat>
#include <cstring>

namespace mcodec {
namespace {

size_t count_bits(nb::handle plane) {
    Buffers buffers;
    const View view = buffers.items(plane, 1, false, "plane");
    CountBits job{view.size, view.data, 0};
    run<CountBits>(active().count_bits, job);
    return job.count;
}

void nonzero_plane(nb::handle values, nb::handle out) {
    Buffers buffers;
    NonzeroPlane job{};
    const View in = buffers.elements(values, &job.size, false, "values");
    job.n = in.size;
    job.values = in.data;
    job.out = buffers.bytes(out, plane_size(job.n), true, "planes");
    run<const NonzeroPlane>(active().nonzero_plane, job);
}

void gather_bits(nb::handle mask, nb::handle plane, nb::handle out) {
    Buffers buffers;
    MaskedBits job{};
    const View chosen = buffers.items(mask, 1, false, "mask");
    job.bytes = job.in_bytes = chosen.size;
    job.mask = chosen.data;
    job.in = buffers.bytes(plane, chosen.size, false, "plane");
    const size_t count = count_ones(job.mask, job.bytes);
    job.out = buffers.bytes(out, plane_size(count), true, "out");
    run<const MaskedBits>(active().gather_bits, job);
}

void spread_bits(nb::handle mask, nb::handle packed, nb::handle out) {
    Buffers buffers;
    MaskedBits job{};
    const View chosen = buffers.items(mask, 1, false, "mask");
    job.bytes = chosen.size;
    job.mask = chosen.data;
    job.in_bytes = plane_size(count_ones(job.mask, job.bytes));
    job.in = buffers.bytes(packed, job.in_bytes, false, "packed");
    job.out = buffers.bytes(out, chosen.size, true, "out");
    run<const MaskedBits>(active().spread_bits, job);
}

void gather_elements(nb::handle mask, nb::handle values, nb::handle out) {
    Buffers buffers;
    MaskedElements job{};
    const View in = buffers.elements(values, &job.size, false, "values");
    const View to = buffers.items(out, job.size, true, "out");
    job.n = in.size;
    job.mask = take_mask(buffers, mask, job.n);
    job.count = count_ones(job.mask, plane_size(job.n));
    if (to.size != job.count) fail("out", "must have " + std::to_string(job.count) + " elements");
    job.in = in.data;
    job.out = to.data;
    run<const MaskedElements>(active().gather_elements, job);
}

void spread_elements(nb::handle mask, nb::handle packed, nb::handle out) {
    Buffers buffers;
    MaskedElements job{};
    const View to = buffers.elements(out, &job.size, true, "out");
    const View in = buffers.items(packed, job.size, false, "packed");
    job.n = to.size;
    job.mask = take_mask(buffers, mask, job.n);
    job.count = count_ones(job.mask, plane_size(job.n));
    if (in.size != job.count) {
        fail("packed", "must have " + std::to_string(job.count) + " elements");
    }
    job.in = in.data;
    job.out = to.data;
    run<const MaskedElements>(active().spread_elements, job);
}

void mask_elements(nb::handle mask, nb::handle base, nb::handle out, bool with_sign) {
    Buffers buffers;
    MaskElements job{};
    job.with_sign = with_sign;
    const View in = buffers.elements(base, &job.size, false, "base");
    const View to = buffers.items(out, job.size, true, "out");
    if (to.size != in.size) fail("out", "must have " + std::to_string(in.size) + " elements");
    job.n = in.size;
    job.mask = take_mask(buffers, mask, job.n);
    job.base = in.data;
    job.out = to.data;
    run<const MaskElements>(active().mask_elements, job);
}

int64_t gaps_to_plane(nb::handle high, nb::handle low, nb::handle out, size_t n) {
    Buffers buffers;
    GapsToPlane job{};
    if (n > uint64_t{1} << 31) fail("n", "must be at most 2^31");
    const View in = buffers.items(high, 1, false, "high");
    job.n = n;
    job.bytes = in.size;
    job.high = in.data;
    job.count = in.size - static_cast<size_t>(std::count(in.data, in.data + in.size, 255));
    job.k = take_planes(buffers, low, job.count, 0, 8, job.low);
    job.out = buffers.bytes(out, plane_size(n), true, "out");
    run<GapsToPlane>(active().gaps_to_plane, job);
    return job.valid ? static_cast<int64_t>(job.count) : -1;
}

// The scales that the elements have, all of them normal.
const uint8_t* take_scales(Buffers& buffers, nb::handle scales, const ScopeTuple& tuple, size_t n,
                           Scopes* scopes) {
    const View table = buffers.items(scales, sizeof(float), false, "scales");
    *scopes = take_scopes(tuple, n, table.size);
    uint64_t left = n ? (scopes->first % scopes->inner + n - 1) / scopes->inner + 1 : 0;
    if (left > scopes->count) left = scopes->count;
    for (uint64_t scope = scopes->first / scopes->inner % scopes->count; left > 0; --left) {
        float scale;
        std::memcpy(&scale, table.data + scope * sizeof scale, sizeof scale);
        if (!(scale >= FLT_MIN && scale <= FLT_MAX)) {
            fail("scales", "must be positive normal float32s");
        }
        scope = scope + 1 == scopes->count ? 0 : scope + 1;
    }
    return table.data;
}

void quantize_int8(const std::string& dtype, nb::handle values, const ScopeTuple& scopes,
                   nb::handle scales, nb::handle out) {
    Buffers buffers;
    Int8 job{};
    job.dtype = dtype_from(dtype);
    const View in = buffers.items(values, item_size(job.dtype), false, "values");
    job.n = in.size;
    job.in = in.data;
    job.scales = take_scales(buffers, scales, scopes, job.n, &job.scopes);
    job.out = buffers.bytes(out, job.n, true, "out");
    run<const Int8>(active().quantize_int8, job);
}

// `codes` or `planes` is None.
bool dequantize_int8(const std::string& dtype, nb::handle out, const ScopeTuple& scopes,
                     nb::handle scales, nb::handle codes, nb::handle planes, nb::handle mask) {
    Buffers buffers;
    Int8 job{};
    job.dtype = dtype_from(dtype);
    const View to = buffers.items(out, item_size(job.dtype), true, "out");
    job.n = take_spread(buffers, mask, to.size, &job.to);
    job.out = to.data;
    job.scales = take_scales(buffers, scales, scopes, job.n, &job.scopes);
    if (codes.is_none()) {
        const uint8_t* found[8];
        take_planes(buffers, planes, job.n, 8, 8, found);
        for (int i = 0; i < 8; ++i) job.planes[7 - i] = found[i];
    } else {
        job.in = buffers.bytes(codes, job.n, false, "codes");
    }
    run<Int8>(active().dequantize_int8, job);
    return job.valid;
}

}  // namespace

void bind_sparse(nb::module_& m) {
    using nb::arg;
    m.def("count_bits", &count_bits);
    m.def("nonzero_plane", &nonzero_plane);
    m.def("gather_bits", &gather_bits);
    m.def("spread_bits", &spread_bits);
    m.def("gather_elements", &gather_elements);
    m.def("spread_elements", &spread_elements);
    m.def("mask_elements", &mask_elements);
    m.def("gaps_to_plane", &gaps_to_plane);
    m.def("quantize_int8", &quantize_int8);
    m.def(
        "dequantize_int8",
        [](const std::string& dtype, nb::handle out, const ScopeTuple& scopes, nb::handle scales,
           nb::handle codes, nb::handle mask) {
            return dequantize_int8(dtype, out, scopes, scales, codes, nb::none(), mask);
        },
        arg(), arg(), arg(), arg(), arg(), arg().none());
    m.def(
        "merge_int8",
        [](const std::string& dtype, nb::handle out, const ScopeTuple& scopes, nb::handle scales,
           nb::handle planes, nb::handle mask) {
            return dequantize_int8(dtype, out, scopes, scales, nb::none(), planes, mask);
        },
        arg(), arg(), arg(), arg(), arg(), arg().none());
}

}  // namespace mcodec
