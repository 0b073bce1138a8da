#include "apiserver/tables/tables.h"

#include <map>
#include <set>
#include <vector>

#include "apiserver/tables/printers.h"
#include "base/json_text.h"
#include "base/time.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

std::string human_duration(std::chrono::seconds d) {
  int64_t s = d.count();
  if (s < -1) return "<invalid>";
  if (s < 0) s = 0;
  if (s < 120) return fmt::format("{}s", s);
  int64_t minutes = s / 60;
  if (minutes < 10) return s % 60 == 0 ? fmt::format("{}m", minutes) : fmt::format("{}m{}s", minutes, s % 60);
  if (minutes < 180) return fmt::format("{}m", minutes);
  int64_t hours = minutes / 60;
  if (hours < 8) return minutes % 60 == 0 ? fmt::format("{}h", hours) : fmt::format("{}h{}m", hours, minutes % 60);
  if (hours < 48) return fmt::format("{}h", hours);
  int64_t days = hours / 24;
  if (hours < 192) return hours % 24 == 0 ? fmt::format("{}d", days) : fmt::format("{}d{}h", days, hours % 24);
  if (days < 730) return fmt::format("{}d", days);
  int64_t years = days / 365;
  if (days < 8 * 365) return days % 365 == 0 ? fmt::format("{}y", years) : fmt::format("{}y{}d", years, days % 365);
  return fmt::format("{}y", years);
}

std::string age_of(std::string_view time) {
  auto then = parse_rfc3339(time);
  if (!then) return "<unknown>";
  return human_duration(std::chrono::duration_cast<std::chrono::seconds>(now() - *then));
}

namespace {

const Printer& default_printer() {
  static const Printer printer{
      {{"Name", "string", "name", 0}, {"Created At", "date", "", 0}}, [](const schema::Value& o) {
        return std::vector<Cell>{std::string(o.get({"metadata", "name"}).as_string()),
                                 std::string(o.get({"metadata", "creationTimestamp"}).as_string())};
      }};
  return printer;
}

const Printer& printer_of(const schema::Resource& resource) {
  const Printer* printer = find_printer(resource.group, resource.name);
  return printer == nullptr ? default_printer() : *printer;
}

}  // namespace

void append_table_head(std::string& out, const schema::Resource& resource, std::string_view list_meta_json,
                       bool columns) {
  out += fmt::format(R"({{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{},"columnDefinitions":)",
                     list_meta_json);
  if (!columns) {
    out += "[],\"rows\":[";
    return;
  }
  out += '[';
  bool first = true;
  for (const Column& column : printer_of(resource).columns) {
    if (!first) out += ',';
    first = false;
    out += fmt::format(R"({{"name":"{}","type":"{}","format":"{}","description":"","priority":{}}})", column.name,
                       column.type, column.format, column.priority);
  }
  out += "],\"rows\":[";
}

void append_table_row(std::string& out, const schema::Resource& resource, const schema::Value& object,
                      std::string_view include) {
  out += "{\"cells\":[";
  std::vector<Cell> cells = printer_of(resource).cells(object);
  for (size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) out += ',';
    if (const auto* text = std::get_if<std::string>(&cells[i])) {
      append_json_string(out, *text);
    } else {
      out += std::to_string(std::get<int64_t>(cells[i]));
    }
  }
  out += ']';
  if (include == "Object") {
    out += ",\"object\":" + schema::to_json(object, resource.type);
  } else if (include != "None") {
    static const schema::Type* meta = schema::find_type("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    out += R"(,"object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":)" +
           schema::to_json(object.get({"metadata"}), meta) + "}";
  }
  out += '}';
}

}  // namespace redoubt::apiserver
