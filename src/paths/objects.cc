#include "paths/objects.h"

#include <fmt/format.h>

#include "net/http.h"
#include "paths/limits.h"
#include "schema/codec.h"

namespace redoubt::paths {

Task<Result<void>> for_each_object(client::Client& api, std::string path, std::string query, bool metadata_only,
                                   std::function<void(const schema::Value&)> each) {
  std::string token;
  do {
    std::string target = fmt::format("{}?limit={}{}{}", path, kPageSize, query.empty() ? "" : "&", query);
    if (!token.empty()) target += "&continue=" + net::percent_encode(token);
    RD_CO_TRY(
        client::RawResponse response,
        co_await api.request("GET", target, {}, {},
                             metadata_only ? "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1" : ""));
    schema::Arena arena;
    RD_CO_TRY(schema::Value list, schema::parse_json(response.body, arena, {.max_bytes = SIZE_MAX}));
    token = text_at(list, {"metadata", "continue"});
    for (const schema::Value& item : schema::items(list.get({"items"}))) each(item);
  } while (!token.empty());
  co_return Result<void>{};
}

Task<Result<void>> with_object(client::Client& api, std::string path, std::function<void(const schema::Value&)> use) {
  RD_CO_TRY(client::RawResponse response, co_await api.request("GET", path, {}));
  schema::Arena arena;
  RD_CO_TRY(schema::Value value, schema::parse_json(response.body, arena, {.max_bytes = SIZE_MAX}));
  use(value);
  co_return Result<void>{};
}

std::string text_at(const schema::Value& value, std::initializer_list<std::string_view> path) {
  return std::string(value.get(path).as_string());
}

std::vector<std::string> texts_at(const schema::Value& value, std::initializer_list<std::string_view> path) {
  std::vector<std::string> out;
  schema::Value list = value.get(path);
  for (const schema::Value& item : schema::items(list)) out.emplace_back(item.as_string());
  return out;
}

std::string object_name(const schema::Value& object) {
  std::string ns = text_at(object, {"metadata", "namespace"});
  return (ns.empty() ? "" : ns + "/") + text_at(object, {"metadata", "name"});
}

}  // namespace redoubt::paths
