// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/buffer.hpp"
#include "core/dispatch.hpp"
#include "core/error.hpp"
#include "core/exact_sum.hpp"
#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith {
namespace {

using namespace std::chrono_literals;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void nothing() {}

TEST(ParallelFor, CallsEachBlockOnceWithAWorkerInRange) {
  for (int threads : {1, 2, 7}) {
    for (index_t blocks : {0, 1, 2, 5, 1000}) {
      for (bool watched : {false, true}) {
        std::vector<std::atomic<int>> calls(static_cast<std::size_t>(blocks));
        std::atomic<bool> in_range{true};
        const Cpu cpu{threads, nullptr, watched ? std::function<void()>(nothing) : nullptr};
        parallel_for(cpu, blocks, [&](index_t block, int worker) {
          ++calls[static_cast<std::size_t>(block)];
          if (worker < 0 || worker >= threads) in_range = false;
        });
        for (const auto& count : calls) EXPECT_EQ(count, 1);
        EXPECT_TRUE(in_range);
      }
    }
  }
}

TEST(ParallelFor, UsesNoMoreThreadsThanBlocks) {
  std::mutex mutex;
  std::set<std::thread::id> seen;
  parallel_for({64}, 3, [&](index_t, int worker) {
    std::lock_guard lock(mutex);
    seen.insert(std::this_thread::get_id());
    EXPECT_LT(worker, 3);
  });
  EXPECT_LE(seen.size(), 3U);
}

TEST(ParallelFor, RunsOnSeveralThreadsAtOnce) {
  std::atomic<int> waiting{0};
  parallel_for({2}, 2, [&](index_t, int) {  // each block waits for the other: on one thread this would never end
    ++waiting;
    const auto start = std::chrono::steady_clock::now();
    while (waiting < 2 && seconds_since(start) < 20) std::this_thread::yield();
  });
  EXPECT_EQ(waiting, 2);
}

TEST(ParallelFor, RethrowsTheExceptionOfAWorkerAndStops) {
  for (int threads : {1, 2, 5}) {
    std::atomic<index_t> calls{0};
    try {
      parallel_for({threads}, 100000, [&](index_t block, int) {
        ++calls;
        if (block == 3) throw ArgumentError("block 3");
        std::this_thread::sleep_for(100us);
      });
      FAIL() << "nothing was thrown";
    } catch (const ArgumentError& e) {
      EXPECT_STREQ(e.what(), "block 3");
    }
    EXPECT_LT(calls, 50000) << "the other workers went on";
  }
}

TEST(ParallelFor, RethrowsOneOfManyExceptions) {
  EXPECT_THROW(parallel_for({4}, 100, [](index_t, int) { throw std::runtime_error("all"); }), std::runtime_error);
}

TEST(ParallelFor, EndsWithinASecondOfBeingCancelled) {
  for (int threads : {1, 2}) {
    CancelToken token;
    std::thread other([&] {
      std::this_thread::sleep_for(100ms);
      token.cancel();
    });
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THROW(parallel_for({threads, &token}, 10000, [](index_t, int) { std::this_thread::sleep_for(20ms); }),
                 Cancelled);
    EXPECT_LT(seconds_since(start), 1.1);
    other.join();
  }
}

TEST(ParallelFor, DoesNotBeginWhenCancelledBefore) {
  CancelToken token;
  token.cancel();
  for (index_t blocks : {1, 10}) {
    int calls = 0;
    EXPECT_THROW(parallel_for({1, &token}, blocks, [&](index_t, int) { ++calls; }), Cancelled);
    EXPECT_EQ(calls, 0);
  }
}

TEST(ParallelFor, PollIsCalledByTheCallerAndMayStopTheWork) {
  const auto caller = std::this_thread::get_id();
  int polls = 0;
  const Cpu cpu{2, nullptr, [&] {
                  EXPECT_EQ(std::this_thread::get_id(), caller);
                  if (++polls == 3) throw std::domain_error("signal");
                }};
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(parallel_for(cpu, 10000, [](index_t, int) { std::this_thread::sleep_for(5ms); }), std::domain_error);
  EXPECT_LT(seconds_since(start), 1.5);
  EXPECT_GE(polls, 3);
}

TEST(ParallelFor, FinishedWorkIsNotPolled) {
  int polls = 0;
  parallel_for({2, nullptr, [&] { ++polls; }}, 4, [](index_t, int) {});
  EXPECT_EQ(polls, 0);
}

TEST(ParallelFor, Nests) {
  std::atomic<int> calls{0};
  parallel_for({3}, 5, [&](index_t, int) { parallel_for({2}, 7, [&](index_t, int) { ++calls; }); });
  EXPECT_EQ(calls, 35);
  EXPECT_THROW(
      parallel_for({2}, 4,
                   [](index_t, int) { parallel_for({2}, 4, [](index_t, int) { throw std::domain_error("inner"); }); }),
      std::domain_error);
}

TEST(ParallelFor, WorksAfterFork) {
  const auto count = [] {
    std::atomic<int> calls{0};
    parallel_for({2, nullptr, nothing}, 50, [&](index_t, int) { ++calls; });
    return calls.load();
  };
  ASSERT_EQ(count(), 50);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(20);  // a hang becomes a signal
    _exit(count() == 50 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Threads, ZeroMeansAllAndNegativeIsRefused) {
  EXPECT_GE(available_threads(), 1);
  EXPECT_EQ(resolve_threads({}), available_threads());
  EXPECT_EQ(resolve_threads({3}), 3);
  try {
    resolve_threads({-2});
    FAIL() << "nothing was thrown";
  } catch (const ArgumentError& e) {
    EXPECT_NE(std::string(e.what()).find("threads: found -2"), std::string::npos);
  }
}

TEST(BufferTest, IsZeroedAlignedAndMovable) {
  for (index_t count : {0, 1, 15, 16, 17, 100000, 262143, 262144, 1000003}) {  // pages from 1 MiB on
    Buffer<float> buffer(count);
    EXPECT_EQ(buffer.size(), count);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0U);
    for (index_t i = 0; i < count; ++i) {
      ASSERT_EQ(buffer[i], 0.0F);
      buffer[i] = 1;
    }
    Buffer<float> moved = std::move(buffer);
    EXPECT_EQ(moved.size(), count);
    moved.clear();
    for (index_t i = 0; i < count; ++i) ASSERT_EQ(moved[i], 0.0F);
  }
  EXPECT_EQ(Buffer<double>().size(), 0);
}

TEST(BufferTest, RefusesSizesThatCannotBe) {
  EXPECT_THROW(Buffer<float>(-1), ArgumentError);
  EXPECT_THROW(Buffer<float>(index_t{1} << 62), ArgumentError);
  EXPECT_THROW(Buffer<double>(index_t{1} << 60), ArgumentError);
  EXPECT_THROW(Buffer<char>{std::numeric_limits<index_t>::max()}, ArgumentError);
}

TEST(BufferTest, AMovedFromBufferIsEmpty) {
  Buffer<float> a(5);
  const Buffer<float> b = std::move(a);
  EXPECT_EQ(b.size(), 5);
  EXPECT_EQ(a.size(), 0);  // NOLINT(bugprone-use-after-move): that is the question
  EXPECT_EQ(a.data(), nullptr);
  a.clear();
}

TEST(ViewTest, CountsBeyond32Bits) {
  const View3<const float> v{nullptr, {4096, 4096, 1024}};
  EXPECT_EQ(v.size(), index_t{1} << 34);
  float value = 2;
  const View2<float> one{&value, {1, 1}};
  const View2<const float> same = one;
  EXPECT_EQ(same.data, &value);
  EXPECT_EQ(same.size(), 1);
}

TEST(DispatchTest, NeverExceedsTheWantedInstructionSet) {
  EXPECT_STREQ(isa_name(Isa::baseline), "baseline");
  EXPECT_STREQ(isa_name(Isa::x86_64_v3), "x86-64-v3");
  EXPECT_STREQ(isa_name(Isa::x86_64_v4), "x86-64-v4");
  const char* wanted = std::getenv("CRYOLITH_ISA");
  if (wanted == nullptr) wanted = "x86-64-v4";
  std::set<std::string> allowed;
  for (Isa isa : {Isa::baseline, Isa::x86_64_v3, Isa::x86_64_v4}) {
    allowed.insert(isa_name(isa));
    if (std::string(wanted) == isa_name(isa)) break;
  }
  EXPECT_TRUE(allowed.contains(isa_name(current_isa()))) << isa_name(current_isa()) << " for " << wanted;
}

TEST(RequireTest, RunsItsPartsTogether) {
  require(true, "never");
  try {
    require(false, "angles: found ", 3, ", expected ", 4.5);
    FAIL() << "nothing was thrown";
  } catch (const ArgumentError& e) {
    EXPECT_STREQ(e.what(), "angles: found 3, expected 4.5");
  }
}

TEST(ExactSum, RoundsOnceWhateverTheOrder) {
  std::vector<double> numbers{1e100, 1.0, -1e100, 1e-30, 3.0, -2e-30, 0x1p53, 1.0, 1.0};
  ExactSum forward, backward, halves[2];
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    forward += numbers[i];
    backward += numbers[numbers.size() - 1 - i];
    halves[i % 2] += numbers[i];
  }
  halves[0] += halves[1];
  const double expected = 0x1p53 + 6.0;  // 2^53 + 6 - 1e-30
  EXPECT_EQ(forward.value(), expected);
  EXPECT_EQ(backward.value(), expected);
  EXPECT_EQ(halves[0].value(), expected);
  EXPECT_EQ(ExactSum().value(), 0.0);
}

TEST(ExactSum, RoundsHalfWayByWhatFollows) {
  for (double rest : {0x1p-60, -0x1p-60}) {
    ExactSum sum;
    for (double x : {1.0, 0x1p-53, rest}) sum += x;  // half way between 1 and its neighbour
    EXPECT_EQ(sum.value(), rest > 0 ? 1.0 + 0x1p-52 : 1.0);
  }
}

TEST(ExactSum, ShowsWhatIsNotFinite) {
  ExactSum sum;
  sum += std::numeric_limits<double>::infinity();
  sum += 1.0;
  EXPECT_EQ(sum.value(), std::numeric_limits<double>::infinity());
  sum += -std::numeric_limits<double>::infinity();
  EXPECT_TRUE(std::isnan(sum.value()));
}

}  // namespace
}  // namespace cryolith
