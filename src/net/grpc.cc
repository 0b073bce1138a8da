#include "net/grpc.h"

#include <charconv>

#include "net/limits.h"

namespace redoubt::net {

namespace {

struct CodeRow {
  std::string_view name;
  int http;
  const char* reason;
};

constexpr CodeRow kRows[] = {{"OK", 200, ""},
                             {"Canceled", 499, "Canceled"},
                             {"Unknown", 500, "Unknown"},
                             {"InvalidArgument", 400, "BadRequest"},
                             {"DeadlineExceeded", 504, "Timeout"},
                             {"NotFound", 404, "NotFound"},
                             {"AlreadyExists", 409, "AlreadyExists"},
                             {"PermissionDenied", 403, "Forbidden"},
                             {"ResourceExhausted", 429, "TooManyRequests"},
                             {"FailedPrecondition", 412, "FailedPrecondition"},
                             {"Aborted", 409, "Aborted"},
                             {"OutOfRange", 400, "OutOfRange"},
                             {"Unimplemented", 501, "Unimplemented"},
                             {"Internal", 500, "InternalError"},
                             {"Unavailable", 503, "ServiceUnavailable"},
                             {"DataLoss", 500, "DataLoss"},
                             {"Unauthenticated", 401, "Unauthorized"}};

const CodeRow& row_of(GrpcCode code) {
  auto n = static_cast<size_t>(code);
  return kRows[n < std::size(kRows) ? n : 2];
}

}  // namespace

std::string_view grpc_code_name(GrpcCode code) {
  return row_of(code).name;
}

Error grpc_error(GrpcCode code, std::string message) {
  const CodeRow& row = row_of(code);
  return Error(Status(row.http, row.reason, std::move(message)));
}

GrpcCode grpc_code_of(const Status& status) {
  for (size_t i = 1; i < std::size(kRows); ++i) {
    if (status.code() == kRows[i].http && status.is(kRows[i].reason)) return static_cast<GrpcCode>(i);
  }
  for (size_t i = 1; i < std::size(kRows); ++i) {
    if (status.code() == kRows[i].http && status.code() != 500) return static_cast<GrpcCode>(i);
  }
  if (status.code() == 413) return GrpcCode::ResourceExhausted;
  return status.code() >= 500 ? GrpcCode::Internal : GrpcCode::InvalidArgument;
}

Bytes grpc_message_prefix(size_t message_bytes) {
  char out[5] = {0, static_cast<char>(message_bytes >> 24), static_cast<char>(message_bytes >> 16),
                 static_cast<char>(message_bytes >> 8), static_cast<char>(message_bytes)};
  return Bytes::copy({out, sizeof out});
}

BytesList grpc_frame(BytesList message) {
  message.insert(message.begin(), grpc_message_prefix(total_size(message)));
  return message;
}

Task<Result<std::optional<Bytes>>> GrpcMessageReader::next(BodyReader& body) {
  unsigned char head[5];
  for (size_t have = 0; have < sizeof head;) {
    if (piece_.empty()) {
      RD_CO_TRY(piece_, co_await body.read_some());
      if (piece_.empty()) {
        if (have > 0) co_return grpc_error(GrpcCode::Internal, "the gRPC stream ended within a message");
        co_return std::optional<Bytes>();
      }
    }
    size_t n = std::min(sizeof head - have, piece_.size());
    std::memcpy(head + have, piece_.data(), n);
    piece_ = piece_.slice(n);
    have += n;
  }
  if (head[0] != 0) co_return grpc_error(GrpcCode::Unimplemented, "a compressed gRPC message, which was not asked for");
  size_t size = size_t{head[1]} << 24 | size_t{head[2]} << 16 | size_t{head[3]} << 8 | size_t{head[4]};
  if (size > max_message_bytes_) {
    co_return grpc_error(GrpcCode::ResourceExhausted,
                         fmt::format("received message larger than max ({} vs. {})", size, max_message_bytes_));
  }
  if (piece_.size() >= size) {
    Bytes message = piece_.slice(0, size);
    piece_ = piece_.slice(size);
    if (size < kGrpcCopyBytes) message = Bytes::copy(message.view());
    co_return std::optional<Bytes>(std::move(message));
  }
  // Grows with what really came: a prefix alone costs nothing.
  std::string whole;
  whole.reserve(std::min(size, kGrpcReserveBytes));
  while (true) {
    size_t n = std::min(size - whole.size(), piece_.size());
    whole.append(piece_.view().substr(0, n));
    piece_ = piece_.slice(n);
    if (whole.size() == size) co_return std::optional<Bytes>(Bytes::take(std::move(whole)));
    RD_CO_TRY(piece_, co_await body.read_some());
    if (piece_.empty()) co_return grpc_error(GrpcCode::Internal, "the gRPC stream ended within a message");
  }
}

std::optional<std::chrono::nanoseconds> parse_grpc_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size() - 1, value);
  if (error != std::errc() || end != text.data() + text.size() - 1 || value < 0) return std::nullopt;
  switch (text.back()) {
    case 'H':
      return std::chrono::hours(std::min<int64_t>(value, 24 * 365));
    case 'M':
      return std::chrono::minutes(std::min<int64_t>(value, 60 * 24 * 365));
    case 'S':
      return std::chrono::seconds(value);
    case 'm':
      return std::chrono::milliseconds(value);
    case 'u':
      return std::chrono::microseconds(value);
    case 'n':
      return std::chrono::nanoseconds(value);
  }
  return std::nullopt;
}

Result<void> grpc_status_from(const Headers& headers) {
  auto code_text = headers.get("grpc-status");
  if (!code_text) return service_unavailable("the server sent no gRPC status");
  int code = static_cast<int>(GrpcCode::Unknown);
  std::from_chars(code_text->data(), code_text->data() + code_text->size(), code);
  if (code == 0) return {};
  auto message = percent_decode(headers.get("grpc-message").value_or(""));
  return grpc_error(static_cast<GrpcCode>(code), message.value_or("unreadable message"));
}

Headers grpc_trailers(const Result<void>& outcome) {
  if (outcome) return {{"grpc-status", "0"}};
  Headers out{{"grpc-status", std::to_string(static_cast<int>(grpc_code_of(outcome.error())))}};
  // Printable ASCII goes as it is, so that tools which do not decode show it well.
  std::string message;
  for (char c : outcome.error().message()) {
    if (c >= 0x20 && c <= 0x7E && c != '%') {
      message += c;
    } else {
      message += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  if (!message.empty()) out.add("grpc-message", std::move(message));
  return out;
}

}  // namespace redoubt::net
