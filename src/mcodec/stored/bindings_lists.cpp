// The lists of a manifest, as Python sees them. See `mcodec.stored`.
#include "held.hpp"
#include "lists.hpp"

#include <memory>

namespace nb = nanobind;

namespace mcodec {
namespace {

struct HeldTensors : Tensors {
    explicit HeldTensors(nb::handle text) : held(text, 0) {}
    Held held;
};

// An object that is filled from a text, or None.
template <class T>
nb::object filled(std::unique_ptr<T> object, const Held& text) {
    if (!object->parse(Text(text.data(), text.size()))) return nb::none();
    return nb::cast(object.release(), nb::rv_policy::take_ownership);
}

nb::object tensors(nb::handle text) {
    auto made = std::make_unique<HeldTensors>(text);
    const Held& held = made->held;
    return filled(std::move(made), held);
}

nb::object shapes(nb::handle text) { return filled(std::make_unique<Shapes>(), Held(text, 0)); }

template <class T>
nb::tuple numbers(const std::vector<T>& values) {
    nb::object made = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(values.size())));
    for (size_t i = 0; i < values.size(); ++i) {
        PyObject* const number = PyLong_FromUnsignedLongLong(values[i]);
        if (number == nullptr) throw nb::python_error();
        PyTuple_SET_ITEM(made.ptr(), static_cast<Py_ssize_t>(i), number);
    }
    return nb::borrow<nb::tuple>(made);
}

// Tuples of sides; equal neighbours are one.
nb::tuple sides(const Shapes& shapes) {
    nb::object made = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(shapes.size())));
    nb::tuple last;
    std::vector<uint64_t> own, before;
    for (size_t i = 0, at = 0; i < shapes.size(); at = shapes.ends[i++]) {
        own.assign(shapes.sides.begin() + at, shapes.sides.begin() + shapes.ends[i]);
        if (i == 0 || own != before) last = numbers(own);
        before.swap(own);
        PyTuple_SET_ITEM(made.ptr(), static_cast<Py_ssize_t>(i), last.inc_ref().ptr());
    }
    return nb::borrow<nb::tuple>(made);
}

nb::object find(const HeldTensors& tensors, nb::str name) {
    Py_ssize_t size = 0;
    const char* const text = PyUnicode_AsUTF8AndSize(name.ptr(), &size);
    if (text == nullptr) {  // half of a surrogate pair: no name has one
        PyErr_Clear();
        return nb::none();
    }
    const int64_t found = tensors.find({text, static_cast<size_t>(size)});
    if (found < 0) return nb::none();
    return nb::make_tuple(tensors.runs[found], tensors.members[found]);
}

nb::list names(const HeldTensors& tensors) {
    nb::list made;
    for (const std::string_view name : tensors.names)
        made.append(nb::str(name.data(), name.size()));
    return made;
}

// See `mcodec.stored.sum_of`.
nb::object sum(const HeldTensors& tensors, nb::list runs, nb::list items) {
    std::vector<const Shapes*> shapes;
    std::vector<uint64_t> sizes;
    for (nb::handle run : runs) shapes.push_back(nb::cast<const Shapes*>(run));
    for (nb::handle item : items) sizes.push_back(nb::cast<uint64_t>(item));
    if (sizes.size() != shapes.size()) throw nb::value_error("an itemsize for each run");
    const Sum found = sum_of(tensors, shapes, sizes);
    if (!found.good) return nb::none();
    return nb::make_tuple(found.bytes, numbers(found.runs), found.apart);
}

int64_t depth(nb::handle text) {
    const Held held(text, 0);
    return depth_of(held.data(), held.data() + held.size());
}

}  // namespace

void bind_lists(nb::module_& m) {
    nb::class_<Shapes>(m, "Shapes")
        .def("__len__", &Shapes::size)
        .def_ro("elements", &Shapes::elements)
        .def("shapes", &sides)
        .def("starts", [](const Shapes& own) { return numbers(own.starts); })
        .def("sizes", [](const Shapes& own) { return numbers(own.sizes); });
    nb::class_<HeldTensors>(m, "Tensors")
        .def("__len__", [](const HeldTensors& own) { return own.names.size(); })
        .def("find", &find)
        .def("names", &names)
        .def("runs", [](const HeldTensors& own) { return numbers(own.runs); })
        .def("members", [](const HeldTensors& own) { return numbers(own.members); });
    m.def("tensors", &tensors);
    m.def("shapes", &shapes);
    m.def("sum", &sum);
    m.def("depth", &depth);
}

}  // namespace mcodec
