// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <pybind11/pybind11.h>

namespace cryolith::bind {
void add_core(pybind11::module_& m);
void add_statistics(pybind11::module_& m);
void add_device(pybind11::module_& m);
void add_fft(pybind11::module_& m);
void add_projection(pybind11::module_& m);
void add_align(pybind11::module_& m);
void add_transforms(pybind11::module_& m);
void add_reconstruct(pybind11::module_& m);
void add_solvers(pybind11::module_& m);
void add_device_steps(pybind11::module_& m);
void add_detect(pybind11::module_& m);
void add_components(pybind11::module_& m);
void add_distance(pybind11::module_& m);
void add_network(pybind11::module_& m);
void add_scale_space(pybind11::module_& m);
void add_track(pybind11::module_& m);
void add_oriented(pybind11::module_& m);
void add_segment(pybind11::module_& m);
}  // namespace cryolith::bind
