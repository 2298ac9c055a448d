// SPDX-License-Identifier: BSD-3-Clause
// Arrays on a device, streams, and what happens when memory is short or the device breaks.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "core/device_array.hpp"
#include "cuda/device_tensor.hpp"
#include "cuda/devices.hpp"
#include "cuda/dlpack.hpp"

namespace cryolith {
namespace {

using emulated::DeviceArray;
constexpr ElementType kFloat = element_type<float>();

std::vector<float> ramp(int n) {
  std::vector<float> out(static_cast<std::size_t>(n));
  std::iota(out.begin(), out.end(), 0.0f);
  return out;
}

struct Twice {
  static constexpr int kThreads = 32;
  float* data;
  void operator()() const {
    float* p = data + emulated::thread_index().x;
    emulated::store<float>(p, 2.0f * emulated::load<float>(p));
  }
};

template <class Error, class Body>
std::string message_of(Body body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(DeviceTensor, HoldsWhatIsWrittenAndIsSharedByItsCopies) {
  const DeviceTensor tensor("emulated", kFloat, {4, 8});
  const DeviceTensor copy = tensor;
  EXPECT_EQ(tensor.device(), "emulated:0");
  EXPECT_EQ(tensor.bytes(), 128);
  tensor.write(ramp(32).data());
  with_device("emulated", [&] { emulated::launch({1}, 0, Twice{copy.view<float, 2>("copy").data}); });
  std::vector<float> found(32);
  tensor.read(found.data());
  EXPECT_EQ(found[31], 62.0f);
}

TEST(DeviceTensor, RefusesOtherElementsAxesAndWriters) {
  std::vector<float> lent(6);
  const DeviceTensor tensor("emulated", kFloat, {2, 3}, lent.data(), nullptr, true);
  EXPECT_EQ((tensor.view<const float, 2>("x").extent[1]), 3);
  EXPECT_NE(message_of<ArgumentError>([&] { tensor.view<float, 2>("x"); }).find("x: the array is read-only"),
            std::string::npos);
  EXPECT_NE(message_of<ArgumentError>([&] { tensor.view<const float, 3>("x"); }).find("found 2 axes, expected 3"),
            std::string::npos);
  EXPECT_NE(message_of<ArgumentError>([&] { tensor.view<const double, 2>("x"); }).find("expected float64"),
            std::string::npos);
}

TEST(DeviceTensor, IsNotHandedOutBeforeItIsWritten) {
  const DeviceTensor tensor("emulated", kFloat, {3});
  EXPECT_THROW(tensor.hand_out(), emulated::Fault);
  tensor.write(ramp(3).data());
  EXPECT_NO_THROW(tensor.hand_out());
}

// A tensor of somebody who counts how often he gets it back.
struct Lent {
  std::vector<float> data = std::vector<float>(24);
  std::int64_t shape[3] = {2, 3, 4}, strides[3] = {12, 4, 1};
  DLManagedTensor managed = {};
  int given_back = 0;
  Lent() {
    managed.dl_tensor = {data.data(), {kDlCpu, 0}, 3, {2, 32, 1}, shape, strides, 0};
    managed.manager_ctx = this;
    managed.deleter = [](DLManagedTensor* m) { ++static_cast<Lent*>(m->manager_ctx)->given_back; };
  }
  DeviceTensor take() {
    std::shared_ptr<void> owner(&managed, [](void* p) {
      auto* m = static_cast<DLManagedTensor*>(p);
      m->deleter(m);
    });
    return tensor_from(managed.dl_tensor, std::move(owner), false);
  }
};

TEST(DLPack, GivesBackOnceWhenTheLastCopyGoes) {
  Lent lent;
  {
    const DeviceTensor tensor = lent.take();
    {
      const DeviceTensor copy = tensor;
    }
    EXPECT_EQ(lent.given_back, 0);
    EXPECT_EQ(tensor.data(), lent.data.data());
  }
  EXPECT_EQ(lent.given_back, 1);
}

TEST(DLPack, GivesBackOnceWhatItRefuses) {
  const auto refused = [](auto spoil, const std::string& why) {
    Lent lent;
    spoil(lent);
    EXPECT_NE(message_of<ArgumentError>([&] { lent.take(); }).find(why), std::string::npos) << why;
    EXPECT_EQ(lent.given_back, 1) << why;
  };
  refused([](Lent& l) { l.strides[2] = 2; }, "make it contiguous");
  refused([](Lent& l) { l.strides[0] = 13; }, "make it contiguous");
  refused([](Lent& l) { l.managed.dl_tensor.dtype.lanes = 4; }, "lanes");
  refused([](Lent& l) { l.managed.dl_tensor.dtype.code = 4; }, "type code 4");
  refused([](Lent& l) { l.managed.dl_tensor.device.device_type = 10; }, "device type 10");
  refused([](Lent& l) { l.managed.dl_tensor.byte_offset = 2; }, "unaligned");
  refused([](Lent& l) { l.shape[1] = -1; }, "extent of -1");
}

TEST(DLPack, TakesStridesOfAxesThatAreNotSteppedAlong) {
  Lent lent;
  lent.shape[0] = 1;
  lent.strides[0] = 999;
  lent.managed.dl_tensor.byte_offset = 48;
  EXPECT_EQ(lent.take().data(), lent.data.data() + 12);
}

TEST(DLPack, HandsOutWhatLivesUntilTheTakerLetsGo) {
  DLManagedTensorVersioned* handed = nullptr;
  {
    const DeviceTensor tensor("emulated", kFloat, {2, 3});
    tensor.write(ramp(6).data());
    handed = managed_from<DLManagedTensorVersioned>(tensor);
  }
  EXPECT_EQ(handed->version.major, 1u);
  EXPECT_EQ(handed->flags, 0u);
  EXPECT_EQ(handed->dl_tensor.strides[0], 3);
  EXPECT_EQ(static_cast<const float*>(handed->dl_tensor.data)[5], 5.0f);
  handed->deleter(handed);
}

TEST(Streams, DoTheirWorkInOrderWhenTheyAreWaitedFor) {
  std::vector<float> in = ramp(32), out(32, -1.0f);
  DeviceArray<float> array(32);
  emulated::Stream stream;
  {
    const emulated::UseStream use(stream);
    array.begin_write(0, in.data(), 32);
    emulated::launch({1}, 0, Twice{array.data()});
    array.begin_read(0, out.data(), 32);
  }
  EXPECT_EQ(out[31], -1.0f);  // whoever does not wait finds nothing
  stream.wait();
  EXPECT_EQ(out[31], 62.0f);
}

TEST(Streams, AreLeftAtTheEndOfTheScope) {
  std::vector<float> in = ramp(32), out(32, -1.0f);
  DeviceArray<float> array(32);
  emulated::Stream first, second;
  const emulated::UseStream outer(first);
  {
    const emulated::UseStream inner(second);
  }
  array.begin_write(0, in.data(), 32);
  array.begin_read(0, out.data(), 32);
  second.wait();
  EXPECT_EQ(out[31], -1.0f);
  first.wait();
  EXPECT_EQ(out[31], 31.0f);
}

TEST(EmulatedDevices, RefuseMemoryBeyondTheirOwn) {
  emulated::set_memory(2, 1000);
  with_device("emulated:2", [] {
    const DeviceArray<float> most(200);
    EXPECT_EQ(emulated::free_memory(), 200);
    EXPECT_THROW(DeviceArray<float>(51), DeviceOutOfMemory);
    EXPECT_NO_THROW(DeviceArray<float>(50));
  });
  EXPECT_NO_THROW(DeviceTensor("emulated:2", kFloat, {250}));
  EXPECT_EQ(emulated::current_device(), 0);
  emulated::set_memory(2, emulated::kMemoryBytes);
}

TEST(EmulatedDevices, DoNotReachEachOthersMemory) {
  const DeviceTensor tensor("emulated:1", kFloat, {32});
  tensor.write(ramp(32).data());
  const auto fault =
      message_of<emulated::Fault>([&] { emulated::launch({1}, 0, Twice{tensor.view<float, 1>("x").data}); });
  EXPECT_NE(fault.find("memory of emulated:1"), std::string::npos) << fault;
}

TEST(EmulatedDevices, AreRefusedOnceLost) {
  const DeviceTensor tensor("emulated:3", kFloat, {32});
  emulated::lose_after(3, 1);
  EXPECT_THROW(tensor.write(ramp(32).data()), DeviceLost);  // lost while it waits for the copy
  for (int again = 0; again < 2; ++again) {
    const auto what = message_of<DeviceError>([&] { tensor.hand_out(); });
    EXPECT_NE(what.find("emulated:3 was lost"), std::string::npos) << what;
    EXPECT_NE(what.find("start a new process"), std::string::npos) << what;
  }
}

TEST(Devices, ThatFailASelfTestAreRefused) {
  int runs = 0;
  const SelfTest wrong{"addition", [&] {
                         ++runs;
                         throw DeviceError("1 + 1 is 3");
                       }};
  for (int again = 0; again < 2; ++again) {
    const auto what = message_of<DeviceError>([&] { with_device("emulated:4", wrong, [] { FAIL(); }); });
    EXPECT_NE(what.find("failed its self-test (addition)"), std::string::npos) << what;
    EXPECT_NE(what.find("1 + 1 is 3"), std::string::npos) << what;
  }
  EXPECT_EQ(runs, 1);
  EXPECT_THROW(with_device("emulated:4", [] { FAIL(); }), DeviceError);
}

}  // namespace
}  // namespace cryolith
