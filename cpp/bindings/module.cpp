// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/stages.hpp"

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "The compiled core of cryolith; use the packages around it.";
  cryolith::bind::add_core(m);
  cryolith::bind::add_statistics(m);
  cryolith::bind::add_device(m);
  cryolith::bind::add_fft(m);
  cryolith::bind::add_projection(m);
  cryolith::bind::add_align(m);
  cryolith::bind::add_transforms(m);
  cryolith::bind::add_reconstruct(m);
  cryolith::bind::add_solvers(m);
  cryolith::bind::add_components(m);
  cryolith::bind::add_detect(m);
  cryolith::bind::add_distance(m);
  cryolith::bind::add_network(m);
  cryolith::bind::add_scale_space(m);
  cryolith::bind::add_track(m);
  cryolith::bind::add_oriented(m);
  cryolith::bind::add_segment(m);
}
