// Immutable, reference-counted bytes: what the store holds and the wire gets, spliced from one to the other and never
// copied.
//
// A Bytes is a view with a share in its owner: copying it costs one reference count, slicing it nothing more. Bytes of
// static storage have no owner at all. Immutable, so safe to share between threads.
#pragma once
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace redoubt {

class Bytes {
 public:
  Bytes() = default;
  // Takes a copy of `text` in one allocation together with its reference count.
  static Bytes copy(std::string_view text) {
    if (text.empty()) return {};
    auto owner = std::make_shared_for_overwrite<char[]>(text.size());
    std::memcpy(owner.get(), text.data(), text.size());
    const char* data = owner.get();
    return Bytes(std::shared_ptr<const void>(std::move(owner)), data, text.size());
  }
  // Takes over a string without copying its characters.
  static Bytes take(std::string&& text) {
    auto owner = std::make_shared<const std::string>(std::move(text));
    const char* data = owner->data();
    size_t size = owner->size();
    return Bytes(std::move(owner), data, size);
  }
  // `text` must live for ever (a literal, a table in the binary), or, as a piece of a write, until that completes.
  static Bytes of_static(std::string_view text) { return Bytes(nullptr, text.data(), text.size()); }
  // `data` must live as long as `owner`.
  static Bytes share(std::shared_ptr<const void> owner, std::string_view text) {
    return Bytes(std::move(owner), text.data(), text.size());
  }

  // What may be held on to: itself when it owns its memory, else a copy.
  Bytes kept() const { return owner_ ? *this : copy(view()); }

  const char* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::string_view view() const { return {data_, size_}; }
  operator std::string_view() const { return view(); }
  std::string str() const { return std::string(view()); }
  Bytes slice(size_t from, size_t length = std::string_view::npos) const {
    std::string_view part = view().substr(from, length);
    return Bytes(owner_, part.data(), part.size());
  }

 private:
  Bytes(std::shared_ptr<const void> owner, const char* data, size_t size)
      : owner_(std::move(owner)), data_(data), size_(size) {}

  std::shared_ptr<const void> owner_;
  const char* data_ = nullptr;
  size_t size_ = 0;
};

// A body or a write as a list of pieces (scatter/gather).
using BytesList = std::vector<Bytes>;

inline size_t total_size(const BytesList& pieces) {
  size_t total = 0;
  for (const Bytes& piece : pieces) total += piece.size();
  return total;
}

}  // namespace redoubt
