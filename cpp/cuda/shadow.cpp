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

// `now` after `before`, as one visit: the last one where they are ordered, else several.
Visit together(const Visit& before, const Visit& now) {
  if (ordered(before, now)) return now;
  Visit out = now;
  out.atomic = before.atomic && now.atomic;
  (before.block != now.block ? out.block : out.thread) = kSeveral;
  return out;
}

}  // namespace

std::optional<std::string> Shadow::touch_word(Word& word, Access access, Visit now) {
  const bool reads = access == Access::read || access == Access::atomic_read;
  now.atomic = access == Access::atomic || access == Access::atomic_read;
  if (!(now.atomic && word.writer.atomic) && !ordered(word.writer, now))
    return std::string(reads ? "read-after-write" : "write-after-write") + " race with " + who(word.writer, now);
  if (!reads && !(now.atomic && word.reader.atomic) && !ordered(word.reader, now))
    return "write-after-read race with " + who(word.reader, now);
  if (access != Access::write && !word.written) return "read of memory that was never written";
  Visit& last = reads ? word.reader : word.writer;
  last = together(last, now);
  word.written = true;
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
