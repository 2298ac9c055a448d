// SPDX-License-Identifier: BSD-3-Clause
// The emulation's own traps: each has to spring, and where nothing is wrong none.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "core/device_array.hpp"

namespace cryolith::emulated {
namespace {

template <class T>
std::vector<T> host(const DeviceArray<T>& array) {
  std::vector<T> out(static_cast<std::size_t>(array.size()));
  array.read(0, out.data(), array.size());
  return out;
}

std::vector<float> ramp(int n) {
  std::vector<float> out(static_cast<std::size_t>(n));
  std::iota(out.begin(), out.end(), 0.0f);
  return out;
}

template <class Body>
std::string fault_of(Dim3 grid, unsigned threads, index_t shared_bytes, Body body) {
  try {
    launch_body(grid, {threads}, shared_bytes, body);
  } catch (const Fault& fault) {
    return fault.what();
  }
  return "";
}

// The sum of each block's values: through shared memory, then within one warp.
struct SumBlocks {
  static constexpr int kThreads = 128;
  const float* in;
  float* out;

  void operator()() const {
    const auto buffer = shared_memory<float>();
    const int t = static_cast<int>(thread_index().x), block = static_cast<int>(block_index().x);
    store_shared<float>(buffer + t, load<float>(in + block * kThreads + t));
    sync_block();
    if (t >= kWarp) return;
    float sum = 0;
    for (int i = t; i < kThreads; i += kWarp) sum += load_shared<float>(buffer + i);
    for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) sum += shuffle_xor(sum, lanes);
    if (t == 0) store<float>(out + block, sum);
  }
};

TEST(Emulation, SumsInEverySchedule) {
  const DeviceArray<float> in(ramp(4 * SumBlocks::kThreads));
  for (unsigned seed : {0u, 1u, 2u, 3u, 4u}) {
    set_schedule(seed);
    const DeviceArray<float> out(index_t{4});
    launch({4}, SumBlocks::kThreads * 4, SumBlocks{in.data(), out.data()});
    EXPECT_EQ(host(out), (std::vector<float>{8128, 24512, 40896, 57280})) << "schedule " << seed;
  }
  set_schedule(0);
}

TEST(Emulation, NoticesEachWaitThatIsLeftOut) {
  const DeviceArray<float> in(ramp(SumBlocks::kThreads)), out(index_t{1});
  visited_sites();
  launch({1}, SumBlocks::kThreads * 4, SumBlocks{in.data(), out.data()});
  const std::vector<Site> sites = visited_sites();
  ASSERT_EQ(sites.size(), 1u);
  for (Site site : sites) {
    leave_out(site);
    EXPECT_THROW(launch({1}, SumBlocks::kThreads * 4, SumBlocks{in.data(), out.data()}), Fault);
  }
  leave_out({"", 0});
}

TEST(Emulation, SaysWhereAndWho) {
  const std::string said = fault_of({3}, 32, 16, [] {
    if (block_index().x == 2 && thread_index().x == 5) store_shared<float>(shared_memory<float>() + 4, 1.0f);
  });
  EXPECT_NE(said.find("bytes 16 to 20 of 16"), std::string::npos) << said;
  EXPECT_NE(said.find("test_emulate.cpp:"), std::string::npos) << said;
  EXPECT_NE(said.find("block (2, 0, 0) thread (5, 0, 0)"), std::string::npos) << said;
}

TEST(Emulation, RefusesWrongSharedAccess) {
  const auto buffer = [] { return shared_memory<float>(); };
  EXPECT_NE(fault_of({1}, 1, 16, [=] { load_shared<float>(buffer()); }).find("never written"), std::string::npos);
  EXPECT_NE(fault_of({1}, 1, 16, [=] { store_shared<float>(buffer() + -1, 0.0f); }).find("out of bounds"),
            std::string::npos);
  EXPECT_NE(fault_of({1}, 1, 32, [=] { store_shared<double>(buffer() + 1, 0.0); }).find("misaligned"),
            std::string::npos);
}

TEST(Emulation, NoticesRacesInSharedMemory) {
  const auto mine = [] { return shared_memory<float>() + static_cast<int>(thread_index().x); };
  const auto first = [] { return shared_memory<float>(); };
  const auto read_neighbour = [=](bool barrier, bool warp) {
    return fault_of({1}, 32, 256, [=] {
      store_shared<float>(mine(), 1.0f);
      if (barrier) sync_block();
      if (warp) sync_warp();
      if (thread_index().x > 0) load_shared<float>(mine() + -1);
    });
  };
  EXPECT_NE(read_neighbour(false, false).find("read-after-write race with thread"), std::string::npos);
  EXPECT_EQ(read_neighbour(true, false), "");
  EXPECT_EQ(read_neighbour(false, true), "");
  EXPECT_NE(fault_of({1}, 64, 256, [=] { store_shared<float>(first(), 1.0f); }).find("write-after-write race"),
            std::string::npos);
  EXPECT_NE(fault_of({1}, 64, 256,
                     [=] {
                       if (thread_index().x == 0) store_shared<float>(first(), 1.0f);
                       sync_block();
                       load_shared<float>(first());
                       if (thread_index().x == 40) store_shared<float>(first(), 2.0f);
                     })
                .find("write-after-read race"),
            std::string::npos);
  // A warp's own wait orders nothing between warps.
  EXPECT_NE(fault_of({1}, 64, 256,
                     [=] {
                       if (thread_index().x == 0) store_shared<float>(first(), 1.0f);
                       sync_warp();
                       if (thread_index().x == 63) load_shared<float>(first());
                     })
                .find("race with thread 0"),
            std::string::npos);
}

TEST(Emulation, NoticesRacesInGlobalMemory) {
  DeviceArray<float> word(std::vector<float>{0.0f});
  float* p = word.data();
  EXPECT_NE(fault_of({2}, 1, 0, [=] { store<float>(p, 1.0f); }).find("write-after-write race with block 0"),
            std::string::npos);
  EXPECT_NE(fault_of({2}, 1, 0,
                     [=] {
                       if (block_index().x == 0) load<float>(p);
                       if (block_index().x == 1) store<float>(p, 1.0f);
                     })
                .find("write-after-read"),
            std::string::npos);
  EXPECT_EQ(fault_of({8}, 64, 0, [=] { load<float>(p); }), "");
  EXPECT_NE(fault_of({1}, 64, 0,
                     [=] {
                       add_atomic(p, 1.0f);
                       load<float>(p);
                     })
                .find("race"),
            std::string::npos);
  word.clear();
  EXPECT_EQ(fault_of({8}, 64, 0, [=] { add_atomic(p, 1.0f); }), "");
  EXPECT_EQ(host(word)[0], 512.0f);
}

TEST(Emulation, TellsAtomicFromPlainAccess) {
  DeviceArray<int> word(std::vector<int>{100});
  int* p = word.data();
  const auto number = [] { return static_cast<int>(thread_index().x + 64 * block_index().x); };
  const auto lower = [=] { min_atomic(p, load_atomic(p) - number()); };
  EXPECT_EQ(fault_of({3}, 64, 0, lower), "");
  const auto one_of = [=](auto first, auto others) {
    return fault_of({1}, 64, 0, [=] { thread_index().x == 0 ? first() : others(); });
  };
  EXPECT_NE(one_of([=] { store<int>(p, 1); }, lower).find("race with thread 0"), std::string::npos);
  EXPECT_NE(one_of([=] { load<int>(p); }, lower).find("write-after-read race"), std::string::npos);
  // The last one to write was the thread itself, but not the only one.
  EXPECT_NE(fault_of({1}, 2, 0,
                     [=] {
                       min_atomic(p, number());
                       if (number() == 1) load<int>(p);
                     })
                .find("read-after-write race with thread several"),
            std::string::npos);
  EXPECT_EQ(fault_of({1}, 2, 0,
                     [=] {
                       min_atomic(p, number());
                       sync_block();
                       load<int>(p);
                     }),
            "");
  EXPECT_NE(fault_of({1}, 2, 16,
                     [=] {
                       const Shared<int> q = shared_memory<int>();
                       if (number() == 0) store_shared<int>(q, 5);
                       load_shared_atomic(q);
                     })
                .find("race with thread 0"),
            std::string::npos);
}

// Reading, then writing what was read: only where threads take turns in between does it show.
TEST(Emulation, LetsOthersGoFirstAtAtomics) {
  const auto lowest = [](unsigned schedule) {
    DeviceArray<int> word(std::vector<int>{100});
    int* p = word.data();
    set_schedule(schedule);
    EXPECT_EQ(fault_of({1}, 64, 0, [=] { min_atomic(p, load_atomic(p) - 1); }), "");
    set_schedule(0);
    int out = 0;
    word.read(0, &out, 1);
    return out;
  };
  EXPECT_EQ(lowest(0), 36);
  EXPECT_GT(lowest(2), 36);
}

TEST(Emulation, RefusesWrongGlobalAccess) {
  const DeviceArray<float> four(ramp(4)), empty(index_t{4});
  EXPECT_NE(fault_of({1}, 1, 0, [&] { load<float>(four.data() + 4); }).find("out of bounds: bytes 16 to 20 of 16"),
            std::string::npos);
  EXPECT_NE(fault_of({1}, 1, 0, [&] { load<double>(four.data() + 1); }).find("misaligned"), std::string::npos);
  EXPECT_NE(fault_of({1}, 1, 0, [&] { load<float>(empty.data()); }).find("never written"), std::string::npos);
  const float outside = 0.0f;
  EXPECT_NE(fault_of({1}, 1, 0, [&] { load<float>(&outside); }).find("outside of every buffer"), std::string::npos);
  EXPECT_THROW(host(empty), Fault);
}

// Rows of 128 bytes pass through shared memory, each thread copies 16 bytes.
std::string copied(int wait, bool barrier, bool commit = true) {
  const DeviceArray<float> in(ramp(32)), out(index_t{32});
  const float* from = in.data();
  float* to = out.data();
  return fault_of({1}, 8, 128, [=] {
    const auto buffer = shared_memory<float>();
    const int t = static_cast<int>(thread_index().x);
    copy_async(buffer + 4 * t, from + 4 * t, t != 3);
    if (commit) commit_copies();
    if (wait == 0) wait_for_copies<0>();
    if (wait == 1) wait_for_copies<1>();
    if (barrier) sync_block();
    for (int i = t; i < 32; i += 8) store<float>(to + i, load_shared<float>(buffer + i));
  });
}

TEST(Emulation, DeliversCopiesAtTheWait) {
  EXPECT_EQ(copied(0, true), "");
  EXPECT_NE(copied(1, true).find("never written"), std::string::npos);
  EXPECT_NE(copied(-1, true).find("never written"), std::string::npos);
  EXPECT_NE(copied(0, false), "");
  EXPECT_NE(copied(-1, true, false).find("never"), std::string::npos);
}

// Two phases of a gate bring 64 bytes each to all threads.
struct BulkTrial {
  int announced = 64, asked = 64, shift = 0;
  bool wait = true, order = true, make = true, all_wait = true;

  std::string fault() const {
    const DeviceArray<float> in(ramp(32)), out(index_t{64});
    const float* from = in.data();
    float* to = out.data();
    return fault_of({1}, 64, 256, [=, *this] {
      const auto gate = shared_memory<float>(), buffer = gate + 4 + shift;
      const int t = static_cast<int>(thread_index().x);
      if (t == 0 && make) make_gate(gate);
      if (order) sync_block();
      for (int phase = 0; phase < 2; ++phase) {
        if (t == 0) {
          expect_bytes(gate, announced);
          copy_bulk(gate, buffer + phase * 16, from + phase * 16, asked);
        }
        if (wait && (all_wait || t < 32)) wait_at_gate(gate, static_cast<unsigned>(phase));
        store<float>(to + t, load_shared<float>(buffer + (phase * 16 + t % 16)));
        sync_block();
      }
    });
  }
};

TEST(Emulation, OpensGatesWhenBulkCopiesAreThere) {
  for (unsigned seed : {0u, 1u, 2u, 3u}) {
    set_schedule(seed);
    EXPECT_EQ(BulkTrial{}.fault(), "");
  }
  set_schedule(0);
}

TEST(Emulation, NoticesWrongBulkCopies) {
  const auto expect = [](BulkTrial trial, const std::string& what) {
    const std::string said = trial.fault();
    EXPECT_NE(said.find(what), std::string::npos) << "found: " << said << ", expected: " << what;
  };
  expect({.announced = 48}, "stays shut: 64 bytes were asked for and 48 announced");
  expect({.announced = 0}, "cannot count 0 bytes");
  expect({.asked = 40}, "expected a multiple of 16");
  expect({.shift = 2}, "misaligned bulk copy");
  expect({.asked = 4096}, "out of bounds");
  expect({.wait = false}, "never written");
  expect({.order = false}, "race with thread 0");
  expect({.make = false}, "never written");
  expect({.all_wait = false}, "race with a bulk copy that this thread did not wait for");
}

TEST(Emulation, NoticesGatesUsedTwice) {
  const DeviceArray<float> in(ramp(32));
  const float* from = in.data();
  const auto said = [&](auto body) {
    return fault_of({1}, 1, 256, [=] {
      const auto gate = shared_memory<float>();
      make_gate(gate);
      body(gate, from);
    });
  };
  const auto bulk = [](auto gate, const float* p) {
    expect_bytes(gate, 16);
    copy_bulk(gate, gate + 4, p, 16);
  };
  EXPECT_NE(said([](auto gate, const float*) { make_gate(gate); }).find("made anew"), std::string::npos);
  EXPECT_NE(said([=](auto gate, const float* p) { bulk(gate, p), bulk(gate, p); }).find("announced twice"),
            std::string::npos);
  EXPECT_NE(said(bulk).find("nobody waited for"), std::string::npos);
  EXPECT_NE(said([](auto gate, const float*) { wait_at_gate(gate + 2, 0); }).find("never written"), std::string::npos);
  // Written again while it is still read.
  EXPECT_NE(fault_of({1}, 64, 256,
                     [=] {
                       const auto gate = shared_memory<float>();
                       const int t = static_cast<int>(thread_index().x);
                       if (t == 0) make_gate(gate);
                       sync_block();
                       if (t == 40) store_shared<float>(gate + 4, 1.0f);
                       if (t == 40) load_shared<float>(gate + 4);
                       if (t == 0) bulk(gate, from);
                       wait_at_gate(gate, 0);
                     })
                .find("write-after-write race with a bulk copy"),
            std::string::npos);
}

TEST(Emulation, NoticesBarriersThatDiverge) {
  // Outside of the macros, which would put every line at one.
  const std::string some = fault_of({1}, 64, 0, [] {
    if (thread_index().x < 40) sync_block();
  });
  EXPECT_NE(some.find("not all threads reach"), std::string::npos) << some;
  const std::string two = fault_of({1}, 64, 0, [] {
    if (thread_index().x < 32)
      sync_block();
    else
      sync_block();
  });
  EXPECT_NE(two.find("different lines"), std::string::npos) << two;
  const std::string warp = fault_of({1}, 32, 0, [] {
    if (thread_index().x < 31) sync_warp();
  });
  EXPECT_NE(warp.find("has ended"), std::string::npos) << warp;
  const std::string both = fault_of({1}, 32, 0, [] {
    if (thread_index().x < 7)
      sync_warp();
    else
      sync_block();
  });
  EXPECT_NE(both.find("different lines"), std::string::npos) << both;
}

TEST(Emulation, ShufflesAsAWarpDoes) {
  const DeviceArray<int> out(index_t{4 * 32});
  int* to = out.data();
  EXPECT_EQ(fault_of({1}, 32, 0,
                     [=] {
                       const int t = static_cast<int>(thread_index().x);
                       store<int>(to + t, shuffle(t, 37));
                       store<int>(to + 32 + t, shuffle_down(t, 3));
                       store<int>(to + 64 + t, shuffle_xor(t, 5));
                       store<int>(to + 96 + t, static_cast<int>(ballot(t == 2 || t == 4)));
                     }),
            "");
  const std::vector<int> got = host(out);
  for (int t = 0; t < 32; ++t) {
    const auto i = static_cast<std::size_t>(t);
    EXPECT_EQ(got[i], 5);
    EXPECT_EQ(got[32 + i], t + 3 < 32 ? t + 3 : t);
    EXPECT_EQ(got[64 + i], t ^ 5);
    EXPECT_EQ(got[96 + i], 20);
  }
}

TEST(Emulation, RefusesShapesThatNoDeviceTakes) {
  const auto nothing = [] {};
  EXPECT_THROW(launch_body({1}, {1025}, 0, nothing), Fault);
  EXPECT_THROW(launch_body({0}, {32}, 0, nothing), Fault);
  EXPECT_THROW(launch_body({1, 65536}, {32}, 0, nothing), Fault);
  EXPECT_THROW(launch_body({1}, {32}, kMostSharedBytes + 1, nothing), Fault);
  EXPECT_THROW(thread_index(), Fault);
}

}  // namespace
}  // namespace cryolith::emulated
