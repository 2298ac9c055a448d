// SPDX-License-Identifier: BSD-3-Clause
// Copies between a card's memory and the host's as cuda/runtime.hpp makes them, on a runtime that is not CUDA's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <vector>

#include "cuda/runtime.hpp"

namespace cryolith::cuda {
namespace {

std::vector<std::uint8_t> noise(index_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> out(static_cast<std::size_t>(n));
  for (auto& v : out) v = static_cast<std::uint8_t>(random());
  return out;
}

class HostCopies : public testing::Test {
 protected:
  void SetUp() override {
    fake_cuda.copiers.clear();
    fake_cuda.host_ends.clear();
    fake_cuda.copies_until_failure = -1;
    fake_device = 0;
    fake_legacy_stream.device = 0;
  }
};

TEST_F(HostCopies, BringEveryByteThereAndBack) {
  for (index_t bytes : {index_t{1}, kLarge - 1, kLarge, kLarge + 1, 5 * kPiece - 3, 9 * kPiece + 7}) {
    const auto sent = noise(bytes, 1);
    Memory memory(bytes + 24);
    memory.write(16, sent.data(), bytes);
    std::vector<std::uint8_t> found(sent.size());
    memory.read(16, found.data(), bytes);
    EXPECT_EQ(found, sent) << bytes << " bytes";
  }
}

TEST_F(HostCopies, OfManyBytesPassPinnedMemoryOnly) {
  const auto sent = noise(8 * kPiece, 2);
  Memory memory(8 * kPiece);
  memory.write(0, sent.data(), 8 * kPiece);
  EXPECT_EQ(fake_cuda.host_ends.size(), 8u);
  for (const void* end : fake_cuda.host_ends) EXPECT_EQ(fake_cuda.pinned.count(end), 1u);
}

// Carriers are kept: no page is locked at the second copy.
TEST_F(HostCopies, LockPagesOnce) {
  const auto sent = noise(8 * kPiece, 3);
  Memory memory(8 * kPiece);
  memory.write(0, sent.data(), 8 * kPiece);
  const auto pinned = fake_cuda.pinned;
  memory.write(0, sent.data(), 8 * kPiece);
  EXPECT_EQ(fake_cuda.pinned, pinned);
  EXPECT_LE(std::ssize(pinned), kCarriers);
}

// What was asked for before comes first: here that the memory be cleared.
TEST_F(HostCopies, WaitForWhatIsInTheStream) {
  const auto sent = noise(kLarge, 4);
  Memory memory(kLarge);
  memory.clear();
  memory.write(0, sent.data(), kLarge);
  std::vector<std::uint8_t> found(sent.size());
  memory.read(0, found.data(), kLarge);
  EXPECT_EQ(found, sent);
  memory.clear();
  memory.read(0, found.data(), kLarge);
  EXPECT_EQ(std::ranges::count(found, 0), kLarge);
}

// A copy into another device's stream is refused by the runtime.
TEST_F(HostCopies, UseTheDeviceOfTheThreadThatAsks) {
  fake_device = 1;
  fake_legacy_stream.device = 1;
  const auto sent = noise(kLarge, 5);
  Memory memory(kLarge);
  EXPECT_NO_THROW(memory.write(0, sent.data(), kLarge));
  std::vector<std::uint8_t> found(sent.size());
  EXPECT_NO_THROW(memory.read(0, found.data(), kLarge));
  EXPECT_EQ(found, sent);
}

TEST_F(HostCopies, ThatFailSayWhat) {
  const auto sent = noise(8 * kPiece, 6);
  Memory memory(8 * kPiece);
  fake_cuda.copies_until_failure = 3;
  EXPECT_THROW(memory.write(0, sent.data(), 8 * kPiece), DeviceError);
  fake_cuda.copies_until_failure = -1;
  EXPECT_NO_THROW(memory.write(0, sent.data(), 8 * kPiece));
  EXPECT_THROW(memory.write(1, sent.data(), 8 * kPiece), std::invalid_argument);
}

}  // namespace
}  // namespace cryolith::cuda
