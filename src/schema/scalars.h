// Small types for the values that the API writes as text but means as something else: quantities, times, int-or-string.
#pragma once
#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace redoubt::schema {

// resource.Quantity: a decimal number with a suffix ("100m", "1.5Gi", "2e3"). Kept as an integer of nano units where it
// fits (up to 9.2e9 whole units), else of whole units rounded up; suffix family kept for printing. Zero when empty.
class Quantity {
 public:
  Quantity() = default;
  // Nothing when `text` is no quantity.
  static std::optional<Quantity> parse(std::string_view text);
  static Quantity of(int64_t whole);
  static Quantity of_milli(int64_t milli);
  static Quantity of_bytes(int64_t bytes);  // prints with binary suffixes

  bool is_zero() const { return nanos_ == 0; }
  bool empty() const { return format_ == Format::None; }
  // Rounded up, as upstream's Value() and MilliValue(); saturating.
  int64_t value() const;
  int64_t milli_value() const;
  double as_double() const;
  std::strong_ordering operator<=>(const Quantity& other) const { return nanos_ <=> other.nanos_; }
  bool operator==(const Quantity& other) const { return nanos_ == other.nanos_; }
  Quantity operator+(const Quantity& other) const;
  Quantity operator-(const Quantity& other) const;
  // Canonical text as upstream prints it: no fraction, the largest suffix that fits ("1500m", "1Gi").
  std::string to_string() const;

 private:
  enum class Format : uint8_t { None, Decimal, Binary, Exponent };
  __int128 nanos_ = 0;
  Format format_ = Format::None;
};

// intstr.IntOrString.
struct IntOrString {
  bool is_string = false;
  int32_t number = 0;
  std::string text;
  static IntOrString of(int32_t n) { return {false, n, {}}; }
  static IntOrString of(std::string t) { return {true, 0, std::move(t)}; }
  bool empty() const { return !is_string && number == 0; }
  std::string to_string() const { return is_string ? text : std::to_string(number); }
  bool operator==(const IntOrString&) const = default;
};

// metav1.Time (whole seconds on the wire) and MicroTime. Zero means absent.
struct Time {
  Timestamp at{};
  bool is_zero() const { return at == Timestamp{}; }
  static Time now() { return {std::chrono::floor<std::chrono::seconds>(redoubt::now())}; }
  auto operator<=>(const Time&) const = default;
};
struct MicroTime {
  Timestamp at{};
  bool is_zero() const { return at == Timestamp{}; }
  static MicroTime now() { return {redoubt::now()}; }
  auto operator<=>(const MicroTime&) const = default;
};

// metav1.Duration.
struct Duration {
  std::chrono::nanoseconds value{0};
  auto operator<=>(const Duration&) const = default;
};

// Bytes that JSON shows as base64.
struct ByteString {
  std::string bytes;
  auto operator<=>(const ByteString&) const = default;
};

// Any JSON value, kept as its text. Empty: absent.
struct RawJson {
  std::string json;
  auto operator<=>(const RawJson&) const = default;
};

// An optional struct that lies apart: absent it costs a pointer, and it may be of the type it is a member of. Used like
// std::optional; copies deeply.
//
// A plain pointer, owned: std::unique_ptr's ten templates, for each of three hundred structs, would be most of what
// reading the generated headers costs.
template <class T>
class Box {
 public:
  Box() = default;
  Box(const Box& other) : held_(other.held_ != nullptr ? new T(*other.held_) : nullptr) {}
  Box(Box&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  Box& operator=(Box other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~Box() { delete held_; }
  Box(T value) : held_(new T(std::move(value))) {}
  Box(std::nullopt_t) {}
  bool has_value() const { return held_ != nullptr; }
  explicit operator bool() const { return has_value(); }
  T& operator*() { return *held_; }
  const T& operator*() const { return *held_; }
  T* operator->() { return held_; }
  const T* operator->() const { return held_; }
  T& value() { return *held_; }
  const T& value() const { return *held_; }
  T value_or(T fallback) const { return held_ ? *held_ : std::move(fallback); }
  T& emplace() {
    *this = Box(T());
    return *held_;
  }
  void reset() { *this = Box(); }

 private:
  T* held_ = nullptr;
};

}  // namespace redoubt::schema
