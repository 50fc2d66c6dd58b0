// The module `_native`: checks what Python hands over, drops the GIL, calls the active target.
//
// Arrays come through the buffer protocol, so that their memory is held while a kernel runs and
// nothing depends on alignment. Every mistake is a ValueError that names the argument.
#include "arguments.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>

#include <cfloat>
#include <optional>
#include <string>
#include <tuple>

namespace nb = nanobind;

namespace mcodec {
namespace {

using Step = std::optional<double>;

const uint8_t* take_sign(Buffers& buffers, nb::handle sign, size_t n) {
    return sign.is_none() ? nullptr : buffers.bytes(sign, plane_size(n), false, "sign");
}

Scale take_scale(Buffers& buffers, const ScopeTuple& scopes, nb::handle exponents, Step step,
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

void check_bits(int bits) {
    if (bits < 1 || bits > kMaxBits) fail("bits", "must be 1 to 24");
}

void split_float(const std::string& dtype, nb::handle values, nb::handle sign, nb::handle exponent,
                 nb::handle planes) {
    Buffers buffers;
    SplitFloat job{};
    job.dtype = dtype_from(dtype);
    const View in = buffers.items(values, item_size(job.dtype), false, "values");
    job.n = in.size;
    job.values = in.data;
    job.sign = buffers.bytes(sign, plane_size(job.n), true, "sign");
    const Items parts(exponent, "exponent");
    const int wanted = job.dtype == Dtype::float64 ? 2 : 1;
    if (parts.size() != wanted) fail("exponent", "there must be " + std::to_string(wanted));
    for (int i = 0; i < wanted; ++i) {
        job.exponent[2 - wanted + i] = buffers.bytes(parts[i], job.n, true, "exponent");
    }
    job.count = take_planes(buffers, planes, job.n, 0, format_of(job.dtype).mantissa, job.planes);
    run<const SplitFloat>(active().split_float, job);
}

// What merge_float and merge_symbols have in common; `above` mantissa bits are no planes.
void take_merge(Buffers& buffers, MergeFloat& job, const std::string& dtype, nb::handle out,
                nb::handle sign, nb::handle planes, int above, nb::handle mask) {
    job.dtype = dtype_from(dtype);
    const View to = buffers.items(out, item_size(job.dtype), true, "out");
    job.n = take_spread(buffers, mask, to.size, &job.to);
    job.out = to.data;
    job.sign = take_sign(buffers, sign, job.n);
    const int most = format_of(job.dtype).mantissa - above;
    job.count = take_planes(buffers, planes, job.n, 0, most, job.planes);
}

void merge_float(const std::string& dtype, nb::handle out, nb::handle sign, nb::handle exponent,
                 nb::handle planes, nb::handle mask) {
    Buffers buffers;
    MergeFloat job{};
    take_merge(buffers, job, dtype, out, sign, planes, 0, mask);
    const Items parts(exponent, "exponent");
    const int wanted = job.dtype == Dtype::float64 ? 2 : 1;
    if (parts.size() != wanted) fail("exponent", "there must be " + std::to_string(wanted));
    for (int i = 0; i < wanted; ++i) {
        const int place = 2 - wanted + i;
        if (nb::isinstance<nb::int_>(parts[i])) {
            const long fill = PyLong_AsLong(parts[i].ptr());
            if (fill == -1) PyErr_Clear();
            if (fill < 0 || fill > 255) fail("exponent", "a fill must be 0 to 255");
            job.fill[place] = static_cast<uint8_t>(fill);
        } else {
            job.exponent[place] = buffers.bytes(parts[i], job.n, false, "exponent");
        }
    }
    run<const MergeFloat>(active().merge_float, job);
}

bool merge_symbols(const std::string& dtype, nb::handle out, nb::handle sign, nb::handle symbols,
                   int first, nb::handle planes, nb::handle mask) {
    Buffers buffers;
    MergeFloatSymbols job{};
    if (dtype == "float64") fail("dtype", "float64 has no symbols");
    take_merge(buffers, job, dtype, out, sign, planes, 2, mask);
    job.exponent[1] = buffers.bytes(symbols, job.n, false, "symbols");
    const int end = job.dtype == Dtype::float16 ? 1 : 1 << format_of(job.dtype).exponent;
    if (first < 0 || first >= end || first % 2) fail("first", "must be an even exponent");
    job.first = static_cast<uint8_t>(first);
    run<MergeFloatSymbols>(active().merge_symbols, job);
    return job.valid;
}

void split_bfp(const std::string& dtype, nb::handle values, int bits, bool truncate,
               const ScopeTuple& scopes, nb::handle exponents, Step step, nb::handle sign,
               nb::handle planes) {
    Buffers buffers;
    SplitBfp job{};
    job.dtype = dtype_from(dtype);
    const View in = buffers.items(values, item_size(job.dtype), false, "values");
    job.n = in.size;
    job.values = in.data;
    check_bits(bits);
    if (truncate && step) fail("truncate", "not with a step");
    job.bits = bits;
    job.truncate = truncate;
    job.scale = take_scale(buffers, scopes, exponents, step, job.n);
    job.sign = buffers.bytes(sign, plane_size(job.n), true, "sign");
    take_planes(buffers, planes, job.n, bits, bits, job.planes);
    run<const SplitBfp>(active().split_bfp, job);
}

void merge_bfp(const std::string& dtype, nb::handle out, int bits, bool mid,
               const ScopeTuple& scopes, nb::handle exponents, Step step, nb::handle sign,
               nb::handle planes) {
    Buffers buffers;
    MergeBfp job{};
    job.dtype = dtype_from(dtype);
    const View to = buffers.items(out, item_size(job.dtype), true, "out");
    job.n = to.size;
    job.out = to.data;
    check_bits(bits);
    job.bits = bits;
    job.mid = mid;
    job.scale = take_scale(buffers, scopes, exponents, step, job.n);
    job.sign = take_sign(buffers, sign, job.n);
    job.count = take_planes(buffers, planes, job.n, 0, bits, job.planes);
    if (mid && job.count == kMaxBits) fail("mid", "at most 23 planes");
    run<const MergeBfp>(active().merge_bfp, job);
}

void planes_to_bytes(nb::handle planes, nb::handle out) {
    Buffers buffers;
    PlanesToBytes job{};
    const View to = buffers.items(out, 1, true, "out");
    job.n = to.size;
    job.out = to.data;
    job.count = take_planes(buffers, planes, job.n, 1, 8, job.planes);
    run<const PlanesToBytes>(active().planes_to_bytes, job);
}

void bytes_to_planes(nb::handle values, nb::handle planes) {
    Buffers buffers;
    BytesToPlanes job{};
    const View in = buffers.items(values, 1, false, "values");
    job.n = in.size;
    job.values = in.data;
    job.count = take_planes(buffers, planes, job.n, 1, 8, job.planes);
    run<const BytesToPlanes>(active().bytes_to_planes, job);
}

void scope_max(const std::string& dtype, nb::handle values, const ScopeTuple& scopes,
               nb::handle maxima) {
    Buffers buffers;
    ScopeMax job{};
    job.dtype = dtype_from(dtype);
    const View in = buffers.items(values, item_size(job.dtype), false, "values");
    const View table = buffers.items(maxima, sizeof(uint64_t), true, "maxima");
    job.n = in.size;
    job.values = in.data;
    job.maxima = table.data;
    job.scopes = take_scopes(scopes, job.n, table.size);
    run<const ScopeMax>(active().scope_max, job);
}

std::tuple<double, double, double> error_stats(const std::string& dtype, nb::handle source,
                                               nb::handle decoded) {
    Buffers buffers;
    ErrorStats job{};
    job.dtype = dtype_from(dtype);
    const View s = buffers.items(source, item_size(job.dtype), false, "source");
    const View d = buffers.items(decoded, item_size(job.dtype), false, "decoded");
    if (s.size != d.size) fail("decoded", "must have " + std::to_string(s.size) + " elements");
    job.n = s.size;
    job.source = s.data;
    job.decoded = d.data;
    run<ErrorStats>(active().error_stats, job);
    return {job.largest, job.squares, job.signal};
}

nb::tuple targets() {
    const Table* found[kMaxTargets];
    nb::list names;
    for (int i = 0, count = usable(found); i < count; ++i) names.append(found[i]->name);
    return nb::tuple(names);
}

}  // namespace
}  // namespace mcodec

NB_MODULE(_native, m) {
    using nb::arg;
    m.def("split_float", &mcodec::split_float);
    m.def("merge_float", &mcodec::merge_float, arg(), arg(), arg().none(), arg(), arg(),
          arg().none());
    m.def("merge_symbols", &mcodec::merge_symbols, arg(), arg(), arg().none(), arg(), arg(), arg(),
          arg().none());
    m.def("split_bfp", &mcodec::split_bfp, arg(), arg(), arg(), arg(), arg(), arg().none(),
          arg().none(), arg(), arg());
    m.def("merge_bfp", &mcodec::merge_bfp, arg(), arg(), arg(), arg(), arg(), arg().none(),
          arg().none(), arg().none(), arg());
    m.def("planes_to_bytes", &mcodec::planes_to_bytes);
    m.def("bytes_to_planes", &mcodec::bytes_to_planes);
    m.def("scope_max", &mcodec::scope_max);
    m.def("error_stats", &mcodec::error_stats);
    mcodec::bind_sparse(m);
    mcodec::bind_delta(m);
    mcodec::bind_residual(m);
    m.def("use", [](const std::string& name) { return mcodec::use(name.c_str()); });
    m.def("target", [] { return mcodec::active().name; });
    m.def("targets", &mcodec::targets);
}
