// The module `_native`: checks what Python hands over, drops the GIL, calls the active target.
//
// Arrays come through the buffer protocol, so that their memory is held while a kernel runs and
// nothing depends on alignment. Every mistake is a ValueError that names the argument.
#include "arguments.hpp"

#include <nanobind/nanobind.h>

#include <string>
#include <tuple>

namespace nb = nanobind;

namespace mcodec {
namespace {

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
    nb::set_leak_warnings(false);  // see stored/bindings.cpp
    using nb::arg;
    m.def("split_float", &mcodec::split_float);
    m.def("split_bfp", &mcodec::split_bfp, arg(), arg(), arg(), arg(), arg(), arg().none(),
          arg().none(), arg(), arg());
    m.def("planes_to_bytes", &mcodec::planes_to_bytes);
    m.def("bytes_to_planes", &mcodec::bytes_to_planes);
    m.def("scope_max", &mcodec::scope_max);
    m.def("error_stats", &mcodec::error_stats);
    mcodec::bind_merge(m);
    mcodec::bind_sparse(m);
    mcodec::bind_delta(m);
    mcodec::bind_residual(m);
    m.def("use", [](const std::string& name) { return mcodec::use(name.c_str()); });
    m.def("target", [] { return mcodec::active().name; });
    m.def("targets", &mcodec::targets);
}
