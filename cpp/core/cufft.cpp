// SPDX-License-Identifier: BSD-3-Clause
#include "core/cufft.hpp"

#include <dlfcn.h>

#include <array>
#include <iterator>
#include <mutex>

#include "core/error.hpp"

namespace cryolith::cuda {
namespace {

// What we use of cufft.h, whose ABI has been the same since CUDA 8.
using Handle = int;
using Status = int;
constexpr int kRealToComplex = 0x2a, kComplexToReal = 0x2c;

struct Library {
  Status (*get_version)(int*);
  Status (*create)(Handle*);
  Status (*make_plan_many)(Handle, int rank, long long* n, long long* inembed, long long istride, long long idist,
                           long long* onembed, long long ostride, long long odist, int type, long long batch,
                           std::size_t* work_size);
  Status (*set_stream)(Handle, void* stream);
  Status (*exec_r2c)(Handle, float*, void*);
  Status (*exec_c2r)(Handle, void*, float*);
  Status (*destroy)(Handle);
};

template <class Function>
void find(void* library, const char* name, Function& function) {
  void* symbol = dlsym(library, name);
  if (symbol == nullptr) throw DeviceError(std::string("cuFFT: the library that was found has no ") + name);
  function = reinterpret_cast<Function>(symbol);
}

// The one that belongs to CUDA 13, then CUDA 12's. A library that this process has loaded already, from wherever, is
// found by its name.
Library load() {
  std::string tried;
  for (const char* name : {"libcufft.so.12", "libcufft.so.11"}) {
    void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      tried += std::string(tried.empty() ? "" : "; ") + dlerror();
      continue;
    }
    Library out{};
    find(library, "cufftGetVersion", out.get_version);
    find(library, "cufftCreate", out.create);
    find(library, "cufftMakePlanMany64", out.make_plan_many);
    find(library, "cufftSetStream", out.set_stream);
    find(library, "cufftExecR2C", out.exec_r2c);
    find(library, "cufftExecC2R", out.exec_c2r);
    find(library, "cufftDestroy", out.destroy);
    return out;
  }
  throw DeviceError(
      "cuFFT: found no libcufft.so.12 or libcufft.so.11; install it with pip install 'cryolith[cuda]', or a CUDA "
      "toolkit (" +
      tried + ")");
}

const Library& library() {
  static const Library loaded = load();  // again at the next call, where it throws
  return loaded;
}

std::string name_of(Status status) {
  static constexpr std::array<const char*, 17> names{"CUFFT_SUCCESS",
                                                     "CUFFT_INVALID_PLAN",
                                                     "CUFFT_ALLOC_FAILED",
                                                     "CUFFT_INVALID_TYPE",
                                                     "CUFFT_INVALID_VALUE",
                                                     "CUFFT_INTERNAL_ERROR",
                                                     "CUFFT_EXEC_FAILED",
                                                     "CUFFT_SETUP_FAILED",
                                                     "CUFFT_INVALID_SIZE",
                                                     "CUFFT_UNALIGNED_DATA",
                                                     "CUFFT_INCOMPLETE_PARAMETER_LIST",
                                                     "CUFFT_INVALID_DEVICE",
                                                     "CUFFT_PARSE_ERROR",
                                                     "CUFFT_NO_WORKSPACE",
                                                     "CUFFT_NOT_IMPLEMENTED",
                                                     "CUFFT_LICENSE_ERROR",
                                                     "CUFFT_NOT_SUPPORTED"};
  const bool known = status >= 0 && status < static_cast<Status>(names.size());
  return known ? names[static_cast<std::size_t>(status)] : "status " + std::to_string(status);
}

void check(Status status, const char* call) {
  if (status == 2) throw DeviceOutOfMemory(std::string("cuFFT: ") + call + " found too little memory");
  if (status != 0) throw DeviceError(std::string("cuFFT: ") + call + " failed: " + name_of(status));
}

Handle make_plan(const std::vector<index_t>& shape, index_t batch, int type) {
  require(shape.size() >= 1 && shape.size() <= 3, "cuFFT: found ", shape.size(), " axes, expected 1 to 3");
  std::vector<long long> n(shape.begin(), shape.end());
  Handle handle = 0;
  check(library().create(&handle), "cufftCreate");
  std::size_t work = 0;
  const Status made = library().make_plan_many(handle, static_cast<int>(n.size()), n.data(), nullptr, 1, 0, nullptr, 1,
                                               0, type, batch, &work);
  if (made != 0) library().destroy(handle);
  check(made, "cufftMakePlanMany64");
  return handle;
}

}  // namespace

CufftPlan::CufftPlan(const std::vector<index_t>& shape, index_t batch)
    : forward_(make_plan(shape, batch, kRealToComplex)) {
  try {
    inverse_ = make_plan(shape, batch, kComplexToReal);
  } catch (...) {
    library().destroy(forward_);
    throw;
  }
}

CufftPlan::~CufftPlan() {
  library().destroy(forward_);
  library().destroy(inverse_);
}

void CufftPlan::forward(float* in, float* spectrum, void* stream) const {
  check(library().set_stream(forward_, stream), "cufftSetStream");
  check(library().exec_r2c(forward_, in, spectrum), "cufftExecR2C");
}

void CufftPlan::inverse(float* spectrum, float* out, void* stream) const {
  check(library().set_stream(inverse_, stream), "cufftSetStream");
  check(library().exec_c2r(inverse_, spectrum, out), "cufftExecC2R");
}

int cufft_version() {
  int version = 0;
  check(library().get_version(&version), "cufftGetVersion");
  return version;
}

}  // namespace cryolith::cuda
