// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Who touched each word of a memory last, and whether anything lies between that and the next who does.
#include <optional>
#include <string>
#include <vector>

#include "cuda/emulate.hpp"

namespace cryolith::emulated {

// One thread at one moment. `epoch` counts the block's barriers, `warp_epoch` those of its warp. Where a bulk copy
// wrote, `ticket` is that of its gate's phase (Gates); `seen` are those that the thread has waited for since the
// block's last barrier, read during the visit alone.
struct Visit {
  std::uint32_t launch = 0;
  std::int32_t block = 0, thread = 0;
  std::uint32_t epoch = 0, warp_epoch = 0;
  bool atomic = false;
  std::uint32_t ticket = 0;
  const std::vector<std::uint32_t>* seen = nullptr;
};

class Shadow {
 public:
  static constexpr index_t kWord = 4;  // bytes that are watched together

  explicit Shadow(index_t bytes) : words_(static_cast<std::size_t>((bytes + kWord - 1) / kWord)) {}
  // What is wrong with this access; nothing if it is in order.
  std::optional<std::string> touch(index_t byte, index_t bytes, Access access, const Visit& now);
  void set_written(index_t byte, index_t bytes, bool written);
  void arrive(index_t byte, index_t bytes, const Visit& copy);  // of a bulk copy that was touched when it was asked for
  bool written(index_t byte, index_t bytes) const;
  void clear();

 private:
  struct Word {
    Visit writer, reader;  // launch 0: nobody
    bool written = false;
  };
  static std::optional<std::string> touch_word(Word& word, Access access, Visit now);

  std::vector<Word> words_;
};

}  // namespace cryolith::emulated
