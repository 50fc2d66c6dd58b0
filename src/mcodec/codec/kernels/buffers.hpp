// Python's arrays and sequences, held for as long as a kernel uses them.
#pragma once

#include "kernels.hpp"

#include <nanobind/nanobind.h>

#include <string>

namespace mcodec {

namespace nb = nanobind;

[[noreturn]] inline void fail(const char* name, const std::string& what) {
    throw nb::value_error((std::string(name) + ": " + what).c_str());
}

struct View {
    uint8_t* data;
    size_t size;  // in items
};

// The buffers of one call.
class Buffers {
  public:
    Buffers() = default;
    Buffers(const Buffers&) = delete;
    Buffers& operator=(const Buffers&) = delete;
    ~Buffers() {
        for (int i = 0; i < count_; ++i) PyBuffer_Release(&views_[i]);
    }

    // A one-dimensional contiguous array of items of `item` bytes.
    View items(nb::handle object, size_t item, bool writable, const char* name) {
        const Py_buffer& view = take(object, writable, name);
        if (view.ndim != 1 || view.itemsize != static_cast<Py_ssize_t>(item)) {
            fail(name, "must be one-dimensional, with items of " + std::to_string(item) + " bytes");
        }
        return {static_cast<uint8_t*>(view.buf), static_cast<size_t>(view.len) / item};
    }

    // The same for items of 1, 2, 4 or 8 bytes: `item` is written.
    View elements(nb::handle object, size_t* item, bool writable, const char* name) {
        const Py_buffer& view = take(object, writable, name);
        const Py_ssize_t size = view.itemsize;
        if (view.ndim != 1 || !(size == 1 || size == 2 || size == 4 || size == 8)) {
            fail(name, "must be one-dimensional, with items of 1, 2, 4 or 8 bytes");
        }
        *item = static_cast<size_t>(size);
        return {static_cast<uint8_t*>(view.buf), static_cast<size_t>(view.len) / *item};
    }

    uint8_t* bytes(nb::handle object, size_t size, bool writable, const char* name) {
        const View view = items(object, 1, writable, name);
        if (view.size != size) fail(name, "must have " + std::to_string(size) + " bytes");
        return view.data;
    }

  private:
    const Py_buffer& take(nb::handle object, bool writable, const char* name) {
        if (count_ == kMost) fail(name, "too many arrays");
        Py_buffer& view = views_[count_];
        const int flags = PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0);
        if (PyObject_GetBuffer(object.ptr(), &view, flags) != 0) {
            PyErr_Clear();
            fail(name, writable ? "must be a contiguous writable array" : "must be contiguous");
        }
        ++count_;
        return view;
    }

    static constexpr int kMost = 68;  // those of the delta of 64 bits
    Py_buffer views_[kMost];
    int count_ = 0;
};

// A list or tuple, or what can be made one.
class Items {
  public:
    Items(nb::handle sequence, const char* name)
        : items_(nb::steal(PySequence_Fast(sequence.ptr(), "not a sequence"))) {
        if (!items_.is_valid()) {
            PyErr_Clear();
            fail(name, "must be a sequence");
        }
    }
    int size() const { return static_cast<int>(PySequence_Fast_GET_SIZE(items_.ptr())); }
    nb::handle operator[](int i) const { return PySequence_Fast_GET_ITEM(items_.ptr(), i); }

  private:
    nb::object items_;
};

}  // namespace mcodec
