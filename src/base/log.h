// Structured log lines: one event a line, an event's name and key-value pairs, on standard error.
//
//   log_info("pod started", {{"pod", name}, {"path", "kubelet-apiserver"}});
//   2026-01-02T03:04:05.678Z INFO pod started pod=web-1 path=kubelet-apiserver
//
// Values with blanks or quotes are quoted. Nothing secret goes in: no token, key or Secret's content. Any thread.
#pragma once
#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>

namespace redoubt {

enum class LogLevel { Debug, Info, Warning, Error };

struct LogField {
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  template <class T>
    requires(!std::is_convertible_v<T, std::string_view>)
  LogField(std::string_view k, const T& v) : key(k), value(fmt::format("{}", v)) {}
  std::string_view key;
  std::string value;
};

using LogFields = std::initializer_list<LogField>;

// Lines below `level` are dropped. Default: Info.
void set_log_level(LogLevel level);
bool log_enabled(LogLevel level);
void log_line(LogLevel level, std::string_view event, LogFields fields);

inline void log_debug(std::string_view event, LogFields fields = {}) {
  if (log_enabled(LogLevel::Debug)) log_line(LogLevel::Debug, event, fields);
}
inline void log_info(std::string_view event, LogFields fields = {}) {
  log_line(LogLevel::Info, event, fields);
}
inline void log_warning(std::string_view event, LogFields fields = {}) {
  log_line(LogLevel::Warning, event, fields);
}
inline void log_error(std::string_view event, LogFields fields = {}) {
  log_line(LogLevel::Error, event, fields);
}

}  // namespace redoubt
