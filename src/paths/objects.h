// Objects of the API as plain trees: what the observer reads has many kinds of which it needs few fields each.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/task.h"
#include "client/client.h"
#include "schema/value.h"

namespace redoubt::paths {

// Every item of a list, page by page. `path` without a query; `query` without '?'. `each` is called on the loop.
Task<Result<void>> for_each_object(client::Client& api, std::string path, std::string query, bool metadata_only,
                                   std::function<void(const schema::Value&)> each);
// One document; `use` sees it while it lives.
Task<Result<void>> with_object(client::Client& api, std::string path, std::function<void(const schema::Value&)> use);

std::string text_at(const schema::Value& value, std::initializer_list<std::string_view> path);
std::vector<std::string> texts_at(const schema::Value& value, std::initializer_list<std::string_view> path);
// "ns/name", or the name alone.
std::string object_name(const schema::Value& object);

}  // namespace redoubt::paths
