// The difference of two tensors as numbers, and their sum, for Python.
#include "arguments.hpp"

namespace mcodec {
namespace {

Dtype narrow(const std::string& name) {
    const Dtype dtype = dtype_from(name);
    if (dtype == Dtype::float64) fail("dtype", "must have 16 or 32 bits");
    return dtype;
}

View take(Buffers& buffers, nb::handle array, size_t size, size_t n, bool writable,
          const char* name) {
    const View view = buffers.items(array, size, writable, name);
    if (view.size != n) fail(name, "must have " + std::to_string(n) + " elements");
    return view;
}

void subtract_base(const std::string& dtype, nb::handle base, nb::handle values, nb::handle out) {
    Buffers buffers;
    SubtractBase job{};
    job.dtype = narrow(dtype);
    const View below = buffers.items(base, item_size(job.dtype), false, "base");
    job.n = below.size;
    job.base = below.data;
    job.values = take(buffers, values, item_size(job.dtype), job.n, false, "values").data;
    job.out = take(buffers, out, sizeof(double), job.n, true, "out").data;
    run<const SubtractBase>(active().subtract_base, job);
}

void add_residual(const std::string& dtype, nb::handle base, nb::handle residual, nb::handle out) {
    Buffers buffers;
    AddResidual job{};
    job.dtype = narrow(dtype);
    const View below = buffers.items(base, item_size(job.dtype), false, "base");
    job.n = below.size;
    job.base = below.data;
    job.residual = take(buffers, residual, sizeof(float), job.n, false, "residual").data;
    job.out = take(buffers, out, item_size(job.dtype), job.n, true, "out").data;
    run<const AddResidual>(active().add_residual, job);
}

}  // namespace

void bind_residual(nb::module_& m) {
    m.def("subtract_base", &subtract_base);
    m.def("add_residual", &add_residual);
}

}  // namespace mcodec
