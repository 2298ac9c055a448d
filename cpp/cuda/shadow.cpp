// SPDX-License-Identifier: BSD-3-Clause
#include "cuda/shadow.hpp"

#include <algorithm>

namespace cryolith::emulated {
namespace {

constexpr std::int32_t kSeveral = -1;  // threads of a block, or blocks

bool ordered(const Visit& before, const Visit& now) {
  if (before.launch != now.launch) return true;  // launches of one queue follow each other; 0 is nobody
  if (before.block != now.block) return false;
  if (before.ticket != 0)
    return before.epoch != now.epoch || std::find(now.seen->begin(), now.seen->end(), before.ticket) != now.seen->end();
  if (before.thread == now.thread || before.epoch != now.epoch) return true;
  return before.thread / kWarp == now.thread / kWarp && before.thread != kSeveral && before.warp_epoch < now.warp_epoch;
}

std::string who(const Visit& other, const Visit& now) {
  const auto number = [](std::int32_t n) { return n == kSeveral ? std::string("several") : std::to_string(n); };
  if (other.ticket != 0) return "a bulk copy that this thread did not wait for";
  return other.block == now.block ? "thread " + number(other.thread)
                                  : "block " + number(other.block) + " thread " + number(other.thread);
}

}  // namespace

std::optional<std::string> Shadow::touch_word(Word& word, Access access, const Visit& now) {
  const bool both_atomic = access == Access::atomic && word.writer.atomic;
  if (!both_atomic && !ordered(word.writer, now))
    return std::string(access == Access::read ? "read-after-write" : "write-after-write") + " race with " +
           who(word.writer, now);
  if (access != Access::read && !ordered(word.reader, now))
    return "write-after-read race with " + who(word.reader, now);
  if (access != Access::write && !word.written) return "read of memory that was never written";
  if (access != Access::read) {
    word.writer = now;
    word.writer.atomic = access == Access::atomic;
    word.written = true;
    return {};
  }
  const Visit before = word.reader;
  word.reader = now;
  if (before.launch != now.launch) return {};
  if (before.block != now.block)
    word.reader.block = kSeveral;
  else if (before.epoch == now.epoch && before.thread != now.thread && !ordered(before, now))
    word.reader.thread = kSeveral;
  return {};
}

std::optional<std::string> Shadow::touch(index_t byte, index_t bytes, Access access, const Visit& now) {
  for (index_t w = byte / kWord; w < (byte + bytes + kWord - 1) / kWord; ++w)
    if (auto wrong = touch_word(words_[static_cast<std::size_t>(w)], access, now)) return wrong;
  return {};
}

void Shadow::set_written(index_t byte, index_t bytes, bool written) {
  for (index_t w = byte / kWord; w < (byte + bytes + kWord - 1) / kWord; ++w)
    words_[static_cast<std::size_t>(w)].written = written;
}

void Shadow::arrive(index_t byte, index_t bytes, const Visit& copy) {
  for (index_t w = byte / kWord; w < (byte + bytes + kWord - 1) / kWord; ++w) {
    words_[static_cast<std::size_t>(w)].writer = copy;
    words_[static_cast<std::size_t>(w)].written = true;
  }
}

bool Shadow::written(index_t byte, index_t bytes) const {
  const auto first = words_.begin() + byte / kWord, last = words_.begin() + (byte + bytes + kWord - 1) / kWord;
  return std::all_of(first, last, [](const Word& word) { return word.written; });
}

void Shadow::clear() { std::fill(words_.begin(), words_.end(), Word()); }

}  // namespace cryolith::emulated
