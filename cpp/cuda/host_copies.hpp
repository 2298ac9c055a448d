// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Large copies between a card and the host's ordinary memory. The driver's own pass through one small page-locked
// buffer with one thread, which also finds the pages of a new array: 3 GB/s where the link does 50. Here several
// threads have a page-locked piece each and carry what lies in it on their own.
#include <cstring>
#include <list>
#include <mutex>
#include <vector>

#include "core/parallel.hpp"
#include "core/portable.hpp"
#include "cuda/stream.hpp"

namespace cryolith::cuda {

// Measured on an H200 (docs/gpu.md): eight threads; pieces large beside what a copy costs to start, and few enough
// bytes to lock quickly.
inline constexpr int kCarriers = 8;
inline constexpr index_t kPiece = index_t{4} << 20, kLarge = 4 * kPiece;

// One thread's piece and the stream that its copies go into.
struct Carrier {
  explicit Carrier(int number) : device(number), piece(kPiece) {}
  int device;
  PinnedMemory piece;
  Stream stream;
};

// Carriers that nobody uses now; they are kept for as long as the process lives, since locking pages takes long.
class Carriers {
 public:
  static Carriers& all() {
    static auto* kept = new Carriers;  // never deleted: the driver may have gone before
    return *kept;
  }
  std::list<Carrier> take(int device, int count) {
    std::list<Carrier> out;
    {
      const std::scoped_lock lock(mutex_);
      for (auto it = idle_.begin(); it != idle_.end() && std::ssize(out) < count;) {
        const auto next = std::next(it);
        if (it->device == device) out.splice(out.end(), idle_, it);
        it = next;
      }
    }
    while (std::ssize(out) < count) out.emplace_back(device);
    return out;
  }
  void give_back(std::list<Carrier>& carriers) {
    const std::scoped_lock lock(mutex_);
    idle_.splice(idle_.end(), carriers);
  }

 private:
  std::mutex mutex_;
  std::list<Carrier> idle_;
};

// Calls carry(carrier, offset, bytes) for each piece; the carriers' copies are done at the end.
template <class Carry>
void in_pieces(index_t bytes, const Carry& carry) {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  const Cpu cpu{lesser(kCarriers, available_threads())};
  std::list<Carrier> carriers = Carriers::all().take(device, cpu.threads);
  std::vector<Carrier*> of_worker;
  for (Carrier& c : carriers) of_worker.push_back(&c);
  parallel_for(cpu, (bytes + kPiece - 1) / kPiece, [&](index_t n, int worker) {
    check(cudaSetDevice(device), "cudaSetDevice");
    carry(*of_worker[static_cast<std::size_t>(worker)], n * kPiece, lesser(kPiece, bytes - n * kPiece));
  });
  Carriers::all().give_back(carriers);  // those of a call that failed go with their memory
}

inline void write_in_pieces(char* to, const char* from, index_t bytes) {
  in_pieces(bytes, [&](Carrier& carrier, index_t offset, index_t count) {
    const auto size = static_cast<std::size_t>(count);
    std::memcpy(carrier.piece.data(), from + offset, size);
    carrier.stream.copy(to + offset, carrier.piece.data(), count, cudaMemcpyHostToDevice);
  });
}

inline void read_in_pieces(char* to, const char* from, index_t bytes) {
  in_pieces(bytes, [&](Carrier& carrier, index_t offset, index_t count) {
    carrier.stream.copy(carrier.piece.data(), from + offset, count, cudaMemcpyDeviceToHost);
    std::memcpy(to + offset, carrier.piece.data(), static_cast<std::size_t>(count));
  });
}

}  // namespace cryolith::cuda
